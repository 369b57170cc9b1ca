#!/usr/bin/env bash
# Runs tests that need no toolchain on one more Python, where one is at hand: the command line, the settings, the
# preprocessing. Nothing that needs torch, onnx or TVM is installed. another_python.sh [SECONDS]: give up after so long.
set -uo pipefail
cd "$(dirname "$0")/.."

packages=(numpy opencv-python pydantic typer rich safetensors jinja2 cryptography ziglang scipy h5py)
tests=(tests/test_architecture.py tests/pipeline/test_config.py)
tests+=(tests/targets/runtime/test_resize.py tests/targets/runtime/test_preprocess.py)

runs() { "$1" -c 'import venv, ensurepip' 2>/dev/null; } # a name in the PATH may be of a Python that is not there

found=
for version in 3.14 3.13 3.12; do
    for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python; do
        if [ -z "$found" ] && runs "$python"; then found=$python; fi
    done
done
if [ -z "$found" ]; then
    echo "Not tested on another Python: none of 3.12, 3.13 and 3.14 is at hand."
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name=$("$found" --version)
tested() {
    "$found" -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt \
            "${packages[@]}" pytest pytest-timeout hypothesis &&
        touch "$folder/installed" &&
        "$folder/bin/python" -m pytest -q --noconftest -p no:cacheprovider --hypothesis-profile=ci "${tests[@]}"
}
export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/zig}" # as tests/conftest.py
export -f tested
export found folder
export packages_text="${packages[*]}" tests_text="${tests[*]}"
timeout "${1:-90}" bash -c 'read -ra packages <<<"$packages_text"; read -ra tests <<<"$tests_text"; tested'
code=$?
if [ "$code" = 124 ]; then
    echo "Not tested on $name: it took longer than ${1:-90} seconds."
    exit 0
elif [ "$code" != 0 ] && [ ! -e "$folder/installed" ]; then
    echo "Not tested on $name: its packages could not be installed (see above)."
    exit 0
fi
[ "$code" = 0 ] && echo "Tested on $name too: ${tests[*]}"
exit "$code"
