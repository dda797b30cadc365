#!/usr/bin/env bash
# Renews requirements.lock from pyproject.toml: the newest versions that fit, all of them pinned.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check 'pip>=25.1'
"$venv/bin/python" - <<'PY' > "$venv/wanted"
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
print("\n".join(project["project"]["dependencies"] + project["dependency-groups"]["dev"]))
PY
"$venv/bin/pip" install --quiet -r "$venv/wanted"
{ echo "# Made by scripts/lock.sh from pyproject.toml."; "$venv/bin/pip" freeze --all | grep -vE '^(pip|setuptools|wheel)=='; } > requirements.lock
