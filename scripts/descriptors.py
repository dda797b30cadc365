"""Compiles the `.proto` files inside the crates.io package `envoy-types` into one descriptor set.

Rust's messages are generated from those same files, so both languages speak one contract. The
result is committed (`python/dragoman/config/descriptors.binpb.gz`, with a sidecar that names the
version); `--check` proves that it still belongs to the version in Cargo.lock.
Needs `grpcio-tools` and the package's source (`cargo fetch`). Must not know what the messages mean.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SET = ROOT / "python/dragoman/config/descriptors.binpb.gz"
SIDECAR = ROOT / "python/dragoman/config/descriptors.json"
PACKAGE = "envoy-types"
REMEDY = "run scripts/descriptors.py"


def locked() -> dict[str, str]:
    """Version and checksum of the package in Cargo.lock."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    for package in lock["package"]:
        if package["name"] == PACKAGE:
            return {"version": package["version"], "checksum": package["checksum"]}
    raise SystemExit(f"{PACKAGE} is not in Cargo.lock")


def source(version: str) -> Path:
    """The folder of the package's `.proto` files, as cargo unpacked it."""
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for package in json.loads(answer.stdout)["packages"]:
        if package["name"] == PACKAGE and package["version"] == version:
            return Path(package["manifest_path"]).parent / "proto"
    raise SystemExit(f"cargo doesn't know {PACKAGE} {version}")


def compile_set(protos: Path) -> tuple[bytes, int]:
    """The serialised FileDescriptorSet without source positions, and how many files it was."""
    import grpc_tools
    from grpc_tools import protoc

    # One package keeps its import root one folder deeper than the others.
    roots = [p / "proto" if (p / "proto").is_dir() else p for p in sorted(protos.iterdir())]
    files = [str(f.relative_to(r)) for r in roots for f in sorted(r.rglob("*.proto"))]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        code = protoc.main(
            ["protoc", "--include_imports", f"--descriptor_set_out={out}"]
            + [f"-I{root}" for root in [*roots, well_known]]
            + files
        )
        if code:
            raise SystemExit(f"protoc failed with {code}")
        return out.read_bytes(), len(files)


def build() -> None:
    lock = locked()
    data, files = compile_set(source(lock["version"]))
    SET.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))
    facts = {"package": PACKAGE, **lock, "files": files, "sha256": hashlib.sha256(data).hexdigest()}
    SIDECAR.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{PACKAGE} {lock['version']}: {files} files, {len(data)} bytes")


def check() -> int:
    """0 if the committed set is what Cargo.lock's version gives."""
    facts = json.loads(SIDECAR.read_text())
    lock = locked()
    for key, value in lock.items():
        if facts[key] != value:
            print(f"made from {key} {facts[key]}, Cargo.lock has {value}: {REMEDY}")
            return 1
    data = gzip.decompress(SET.read_bytes())
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        print("the committed set doesn't match its sidecar: " + REMEDY)
        return 1
    if compile_set(source(lock["version"]))[0] != data:
        print("compiling again gives another set: " + REMEDY)
        return 1
    print(f"{PACKAGE} {lock['version']}: the descriptor set is current")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if parser.parse_args().check:
        sys.exit(check())
    build()
