"""Checks the direction of dependencies between the crates: the folder is the layer.

bind > run > ext > path > base. A crate depends on lower layers only; crates of `path`, `ext` and
`bind` never on a sibling. Some outside crates belong to one layer. See ARCHITECTURE.md.
"""

import json
import subprocess
import sys
from pathlib import Path

LAYERS = ["base", "path", "ext", "run", "bind"]
#: Layers whose crates may depend on each other.
SIDEWAYS = {"base", "run"}
#: Crate -> layers that may use it.
ONLY_IN = {
    "tokio": {"run"},
    "mio": {"run"},
    "socket2": {"run"},
    "rustls": {"run"},
    "hickory-resolver": {"run"},
    "pyo3": {"bind"},
    "envoy-types": {"base"},
}


def layer_of(manifest: str, root: Path) -> str | None:
    """The layer of a workspace member, None outside `crates/`."""
    parts = Path(manifest).relative_to(root).parts
    return parts[1] if parts[0] == "crates" else None


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    packages = json.loads(out)["packages"]
    layers = {p["name"]: layer_of(p["manifest_path"], root) for p in packages}
    faults = []
    for package in packages:
        name, own = package["name"], layers[package["name"]]
        if own is None:
            continue
        if own not in LAYERS:
            faults.append(f"{name}: crates/{own} is not a layer ({', '.join(LAYERS)})")
            continue
        for dependency in package["dependencies"]:
            if dependency["kind"] == "dev":
                continue
            used = dependency["name"]
            allowed = ONLY_IN.get(used)
            if allowed and own not in allowed:
                faults.append(f"{name}: {used} may only be used in {', '.join(sorted(allowed))}")
            theirs = layers.get(used)
            if theirs is None:
                continue
            if LAYERS.index(theirs) > LAYERS.index(own):
                faults.append(f"{name} ({own}) depends on the higher {used} ({theirs})")
            if theirs == own and own not in SIDEWAYS:
                faults.append(f"{name} depends on its sibling {used} in {own}")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"layers: {len(packages)} crates, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
