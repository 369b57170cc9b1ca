#!/usr/bin/env bash
# Create .venv and install the pinned dependencies. Safe to kill, to repeat and to run twice at once.
# TORCH=cpu (the default) or TORCH=cuda chooses the build of torch; PYTHON= the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() { # the first that runs and fits: what the tests run on most, then the system's, then any other
    for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if command -v "$candidate" >/dev/null && fits "$candidate"; then command -v "$candidate" && return; fi
    done
}

venv=.venv/bin/python
python=${PYTHON:-}
[ -n "$python" ] || { fits $venv && python=$venv; } || python=$(find_python)
[ -n "$python" ] || fail "no Python 3.11 to 3.14 found. Install one (apt-get install python3 python3-venv), or name one: make setup PYTHON=/path/to/python3"
fits "$python" || fail "$("$python" --version 2>&1) at $python is not Python 3.11 to 3.14, which the pinned packages are for. Name another: make setup PYTHON=/path/to/python3"

torch=${TORCH:-$(cut -d " " -f 1 .venv/ready 2>/dev/null || true)} # else what was chosen before
torch=${torch:-cpu}
case $torch in cpu | cuda) ;; *) fail "TORCH=$torch is neither cpu nor cuda." ;; esac

as_root() { # install system packages where that needs no question, else say what is missing
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >.setup-apt.log 2>&1 ||
            { cat .setup-apt.log >&2; fail "apt-get could not install: $*"; }
        rm -f .setup-apt.log
    else
        fail "system packages are missing. Install them and try again: sudo apt-get install $*"
    fi
}

install() { # with pip's bars on a terminal, else a line for each download
    if [ -t 1 ]; then
        .venv/bin/python -m pip install --disable-pip-version-check --constraint constraints.txt "$@"
    else
        .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --constraint constraints.txt "$@" |
            { grep --line-buffered -E '^ *(Downloading .*MB\)|Installing collected)' | cut -c1-100 || true; }
    fi
}

has_room() { # pip finds a full disk only after minutes of downloads
    local needed=4000 free
    [ "$torch" = cpu ] || needed=9000
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    [ "${free:-$needed}" -ge "$needed" ] ||
        fail "the packages need $needed MB in $PWD, which has $free MB left. Free some, or set up a checkout on another disk"
}

install_torch() { # before the others, so that they find the build that was asked for
    local version
    version=$(sed -n 's/^torch==//p' constraints.txt)
    [ "$torch" = cuda ] && { install "torch==$version,!=$version+cpu"; return; }
    install "torch==$version+cpu" 2>.setup-torch.log && { rm -f .setup-torch.log; return; }
    rm -f .setup-torch.log
    echo "The package index has no CPU build of torch $version for this Python, so its default build is installed, which may"
    echo "bring CUDA (6.4 GB instead of 2.7). To avoid that, add PyTorch's index of CPU builds (PIP_EXTRA_INDEX_URL)."
    install "torch==$version"
}

as_pinned() { # whether every pinned package is still there: one may have been removed or replaced by hand
    $venv - <<'END' 2>/dev/null
import sys
from importlib.metadata import PackageNotFoundError, version
from pip._vendor.packaging.requirements import Requirement

for line in open("constraints.txt"):
    wanted = Requirement(line) if line[0] not in "#\n" else None
    if wanted and (wanted.marker is None or wanted.marker.evaluate()):
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            sys.exit(f"{wanted.name} is missing")
        if not wanted.specifier.contains(found.partition("+")[0], prereleases=True):
            sys.exit(f"{wanted.name} is {found}")
END
}

exec 9>.setup.lock
flock 9 # a second make waits here, then finds the work done

asked="$torch $("$python" -c 'import platform; print(platform.python_version())')"
[ .venv/ready -nt pyproject.toml ] && [ .venv/ready -nt constraints.txt ] && [ .venv/ready -nt scripts/setup.sh ] &&
    { [ -z "${TORCH:-}${PYTHON:-}" ] || [ "$(cat .venv/ready)" = "$asked" ]; } && as_pinned && exit 0
echo "Setting up .venv with $("$python" --version) and torch for $torch (downloads about 1 GB with torch for cpu)"
rm -f .venv/ready
version() { "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || true; }
if ! { $venv -c 'import pip' 2>/dev/null && [ "$(version $venv)" = "$(version "$python")" ]; }; then
    [ "$python" != $venv ] || python=$(find_python) # a .venv that is not whole
    "$python" -c 'import ensurepip' 2>/dev/null || as_root "$(basename "$python")-venv"
    rm -rf .venv
    has_room
    "$python" -m venv .venv
fi
install_torch || fail "pip could not install torch (see above)"
install --editable '.[test]' || fail "pip could not install the pinned packages (see above)"
# opencv-python's wheel needs these from the system; a desktop has them, a minimal server does not
.venv/bin/python -c 'import cv2' 2>/dev/null || as_root libgl1 libglib2.0-0
.venv/bin/python -c 'import cv2'
echo "$asked" >.venv/ready
echo "Set-up done."
