#!/usr/bin/env bash
# Runs the device's code against the genuine TensorRT 8.5.2.2 (JetPack 5.1's own), 8.5.3.1 and 8.6.0, whose wheels are for
# Python up to 3.10: a download of 1.9 GB, kept in .venv/tensorrt-8. tensorrt_8.sh [VERSION ...]
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A hashes=(
    [8.5.2.2]=ea36754388ac2e995c36bccff97c60690256da3d090f03672e0cadbac12226cc
    [8.5.3.1]=00375391073e51c1d662cc116f5472a921f27d75bb617c0195b3479633c625f3
    [8.6.0]=8850d470a92e17e65686fce2a5105dc51fc89f2b438d60d66027288a165732ba
)
python=
for one in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10.*/bin/python; do
    if "$one" -c 'import venv, ensurepip' 2>/dev/null; then python=$one; fi
done
if [ -z "$python" ]; then
    echo "These wheels need Python 3.10, and none is at hand. Install it, with its venv." >&2
    exit 1
fi
place=.venv/tensorrt-8
mkdir -p "$place"
if [ ! -e "$place/python/ready" ]; then
    "$python" -m venv "$place/python"
    "$place/python/bin/pip" install --quiet --disable-pip-version-check numpy onnx pytest
    touch "$place/python/ready"
fi
[ $# -gt 0 ] || set -- "${!hashes[@]}"
wheels=()
for version in "$@"; do
    [ -n "${hashes[$version]:-}" ] || { echo "TensorRT $version is not known here: ${!hashes[*]}" >&2; exit 2; }
    file=$(find "$place" -name "tensorrt-$version-*.whl")
    if [ -z "$file" ]; then
        .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
            --python-version 3.10 --implementation cp --platform manylinux_2_17_x86_64 --dest "$place" \
            --require-hashes --requirement <(echo "tensorrt==$version --hash=sha256:${hashes[$version]}")
        file=$(find "$place" -name "tensorrt-$version-*.whl")
    fi
    wheels+=("$version=$file")
done
exec .venv/bin/python -m tests.targets.tensorrt.another_python "$place/python/bin/python" "${wheels[@]}"
