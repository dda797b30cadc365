"""Checks sizes: a hand-written file has at most 500 lines without its tests, a function 60.

Exceptions stand in `scripts/sizes.toml` with their reason; the list may only shrink.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

MAX_FILE = 500
MAX_FUNCTION = 60
ROOT = Path(__file__).resolve().parent.parent
FN = re.compile(r"^\s*(pub(\([a-z]+\))?\s+)?(const\s+)?(async\s+)?(unsafe\s+)?fn\s+(\w+)")


TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*mod (\w+);")


def is_test_module(path: Path) -> bool:
    """Whether a Rust file is only compiled for tests."""
    declared: set[str] = set()
    for name in ("lib.rs", "mod.rs"):
        parent = path.parent / name
        if parent.exists():
            declared.update(TEST_MODULE.findall(parent.read_text()))
    return path.stem in declared or "tests" in path.parts


def rust_source(text: str) -> list[str]:
    """Lines before the inline tests."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("#[cfg(test)]"):
            return lines[:index]
    return lines


def rust_functions(lines: list[str]) -> list[tuple[str, int]]:
    """(name, lines) of each function, by indentation (rustfmt's output is regular)."""
    found = []
    for index, line in enumerate(lines):
        match = FN.match(line)
        if not match:
            continue
        indent = len(line) - len(line.lstrip())
        end = " " * indent + "}"
        for length, later in enumerate(lines[index:], start=1):
            if later.startswith(end) or (later.rstrip().endswith(";") and length == 1):
                found.append((match.group(6), length))
                break
    return found


def python_functions(text: str) -> list[tuple[str, int]]:
    """(name, lines) of each function."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds)
    ]


def main() -> int:
    allowed = tomllib.loads((ROOT / "scripts/sizes.toml").read_text())["allowed"]
    faults, used = [], set()
    sources = [*ROOT.glob("crates/**/*.rs"), *ROOT.glob("python/**/*.py")]
    for path in sorted(sources):
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        rust = path.suffix == ".rs"
        if rust and is_test_module(path):
            continue
        lines = rust_source(text) if rust else text.splitlines()
        functions = rust_functions(lines) if rust else python_functions(text)
        over = [(f"{name}", len(lines), MAX_FILE)]
        over += [(f"{name}:{function}", length, MAX_FUNCTION) for function, length in functions]
        for what, length, limit in over:
            if length > limit and what in allowed:
                used.add(what)
            elif length > limit:
                faults.append(f"{what}: {length} lines, at most {limit}")
    faults += [f"{what}: the exception is no longer needed" for what in allowed if what not in used]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"sizes: {len(sources)} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
