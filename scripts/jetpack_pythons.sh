#!/usr/bin/env bash
# Runs the device's code as each JetPack has it: its Python, its NumPy, and the genuine Python module of its TensorRT, over doubles
# of the libraries. Needs Python 3.8 (JetPack 5), 3.10 (6) and 3.12 (7), such as pyenv's. The wheels of TensorRT 8.5 and 8.6.0 hold the
# libraries too: a download of 1.9 GB, kept in .venv/jetpack-pythons. jetpack_pythons.sh [VERSION ...]
set -euo pipefail
cd "$(dirname "$0")/.."

known="\
8.5.2.2   3.8  tensorrt               24d9468d031d6bd07bcd267428991bfadfa7c717779fce6ef14e2ea99cf52cd4
8.5.3.1   3.10 tensorrt               00375391073e51c1d662cc116f5472a921f27d75bb617c0195b3479633c625f3
8.6.0     3.10 tensorrt               8850d470a92e17e65686fce2a5105dc51fc89f2b438d60d66027288a165732ba
8.6.1     3.10 tensorrt_bindings      6f9d26d5d8f6b87d62048c5ef4bb33b179cdf944d1b28480458d8c27d1e65456
10.3.0    3.10 tensorrt_cu12_bindings 1d6e4cf08ef1f54f6fd44a33cf6b253050af2fc6e9a1d92e40e1436a1d858eb0
10.13.3.9  3.12 tensorrt_cu13_bindings 9e3adb281af85508518b90979d0bf3a1704a40c3165a99d5b27e2cfee72f1b14
10.16.1.11 3.12 tensorrt_cu13_bindings 2fb87ac24a5e5f42e43f283c16d1b661dc72ef18568fd847ce2080b7db9ca232"
declare -A numpy=([3.8]="numpy==1.17.4 onnx==1.12.0" [3.10]="numpy==1.21.5 onnx==1.14.1" [3.12]="numpy==1.26.4 onnx==1.17.0")
place=.venv/jetpack-pythons
mkdir -p "$place"

python_of() { # VERSION: prints the path of a Python with that JetPack's NumPy
    local found="" one
    if [ ! -e "$place/$1/ready" ]; then
        for one in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
            if "$one" -c 'import venv, ensurepip' 2>/dev/null; then found=$one; fi
        done
        [ -n "$found" ] || { echo "Python $1 is not at hand. Install it, with its venv." >&2; exit 1; }
        "$found" -m venv "$place/$1" >&2
        # shellcheck disable=SC2086 # two packages
        "$place/$1/bin/pip" install --quiet --disable-pip-version-check ${numpy[$1]} pytest >&2
        touch "$place/$1/ready"
    fi
    echo "$place/$1/bin/python"
}

all=$(awk '{print $1}' <<<"$known")
[ $# -gt 0 ] || set -- $all
for version in "$@"; do
    read -r _ needs package hash <<<"$(grep "^$version " <<<"$known")" || true
    [ -n "${hash:-}" ] || { echo "TensorRT $version is not known here:" $all >&2; exit 2; }
    python=$(python_of "$needs")
    file=$(find "$place" -maxdepth 1 -name "$package-$version-cp${needs/./}-*.whl")
    if [ -z "$file" ]; then
        .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
            --python-version "$needs" --implementation cp --platform manylinux_2_17_x86_64 --platform manylinux_2_28_x86_64 \
            --dest "$place" --require-hashes --requirement <(echo "$package==$version --hash=sha256:$hash")
        file=$(find "$place" -maxdepth 1 -name "$package-$version-cp${needs/./}-*.whl")
    fi
    echo "Python $needs, $("$python" -c 'import numpy; print("NumPy", numpy.__version__)'):"
    .venv/bin/python -m tests.targets.tensorrt.another_python "$python" "$version=$file" || failed=1
done
exit "${failed:-0}"
