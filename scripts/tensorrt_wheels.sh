#!/usr/bin/env bash
# Download the wheels that the tests of the Jetson runtime look into (10 MB). Without them those tests are skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

list=tests/targets/tensorrt/wheels.txt place=.venv/tensorrt-wheels
[ "$(uname -m)" = x86_64 ] || exit 0
[ "$place/complete" -nt "$list" ] && exit 0
mkdir -p "$place"
grep -v '^#' "$list" | while read -r line; do
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$place" --require-hashes --requirement <(echo "$line") || exit 1
done && touch "$place/complete" ||
    echo "The wheels in $list could not be downloaded, so the tests that need them are skipped."
