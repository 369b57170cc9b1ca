#!/usr/bin/env bash
# Create .venv and install the pinned dependencies. Safe to kill, to repeat and to run twice at once.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

python=${PYTHON:-}
[ -n "$python" ] || python=$(command -v python3.11 || command -v python3 || true)
[ -n "$python" ] || fail "no python3 found. edgec needs Python 3.11: apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "$("$python" --version) found, but the pinned dependencies are for Python 3.11. Say which one to use: make setup PYTHON=/path/to/python3.11"

as_root() { # install system packages where that needs no question, else say what is missing
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >.setup-apt.log 2>&1 ||
            { cat .setup-apt.log >&2; fail "apt-get could not install: $*"; }
        rm -f .setup-apt.log
    else
        fail "system packages are missing. Install them and try again: sudo apt-get install $*"
    fi
}

exec 9>.setup.lock
flock 9 # a second make waits here, then finds the work done

[ .venv/ready -nt pyproject.toml ] && [ .venv/ready -nt constraints.txt ] && [ .venv/ready -nt scripts/setup.sh ] && exit 0
echo "Setting up .venv (about a minute; downloads the pinned packages)"
rm -f .venv/ready
"$python" -c 'import ensurepip' 2>/dev/null || as_root python3-venv
.venv/bin/python -c 'import pip' 2>/dev/null || { rm -rf .venv && "$python" -m venv .venv; }
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]' ||
    fail "pip could not install the pinned packages (see above)"
# opencv-python's wheel needs these from the system; a desktop has them, a minimal server does not
.venv/bin/python -c 'import cv2' 2>/dev/null || as_root libgl1 libglib2.0-0
.venv/bin/python -c 'import cv2'
touch .venv/ready
echo "Set-up done."
