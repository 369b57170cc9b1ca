#!/usr/bin/env bash
# Do the pins hold for the Pythons and machines that the tests do not run on? Asks the package index; installs nothing.
# other_pythons.sh [PYTHON [MACHINE]]: 3.14 aarch64; without, all of them
set -uo pipefail
cd "$(dirname "$0")/.."

list=$(mktemp) failed=0
trap 'rm -f "$list"' EXIT
# jetson apart: tensorrt-rtx-cu13 is a source package that fetches wheels; torch apart: its own dependencies on x86_64 are those of CUDA, which a CPU build does not have
.venv/bin/python - >"$list" <<'PYTHON'
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *(line for extra in ("train", "keras", "test") for line in extras[extra])]
print(*(line for line in wanted if not line.startswith(("torch==", "edgec["))), sep="\n")
PYTHON
torch=$(sed -n 's/^torch==//p' constraints.txt)

index() { # PYTHON MACHINE COMMAND...: ask pip about wheels for that Python on that machine
    local platforms=()
    for glibc in 5 12 17 24 26 27 28 31 34; do platforms+=(--platform "manylinux_2_${glibc}_$2"); done
    for name in manylinux1 manylinux2010 manylinux2014; do platforms+=(--platform "${name}_$2"); done
    .venv/bin/python -m pip "${@:3}" --disable-pip-version-check --only-binary=:all: --implementation cp \
        --python-version "$1" "${platforms[@]}"
}

resolves() { # PYTHON MACHINE
    index "$1" "$2" install --quiet --quiet --dry-run --target unused --constraint constraints.txt --requirement "$list" &&
        index "$1" "$2" index versions torch 2>/dev/null | grep -E "[ ,(]$torch(\+[a-z0-9]+)?([,) ]|$)" >/dev/null
}

for machine in ${2:-x86_64 aarch64}; do
    for python in ${1:-3.11 3.12 3.13 3.14}; do
        if resolves "$python" "$machine"; then
            echo "Python $python on $machine: all pinned packages have wheels"
        else
            echo "Python $python on $machine: not all pinned packages have wheels (see above)"
            failed=1
        fi
    done
done
exit $failed
