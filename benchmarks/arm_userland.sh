#!/usr/bin/env bash
# Does an ARM bundle run on a board's own Python, NumPy and OpenCV? In Debian's arm64 packages, emulated, offline.
#
#     benchmarks/arm_userland.sh out/resnet20-fashion-arm.edgec picture.png /tmp/arm64 [bookworm]
#
# Needs Debian, whose mirror for apt has the packages, qemu-user and the network for them (about 850 MB unpacked); what runs
# then has none. MIRROR names another mirror.
set -euo pipefail
bundle=$(realpath "$1") picture=$(realpath "$2") place=$3 release=${4:-bookworm}
mkdir -p "$place"/{lists/partial,cache/archives/partial,root}
place=$(realpath "$place")
root=$place/root
cd "$place"

if [ ! -e unpacked ]; then
    : >status
    mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$')}
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >list
    apt=(apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$place/lists"
        -o Dir::State::status="$place/status" -o Dir::Cache="$place/cache" -o Dir::Etc::sourcelist="$place/list"
        -o Dir::Etc::sourceparts=/dev/null -o APT::Install-Recommends=0)
    "${apt[@]}" update >/dev/null
    "${apt[@]}" --download-only install python3-numpy python3-opencv libc6 dash coreutils >/dev/null
    for package in cache/archives/*.deb; do dpkg-deb -x "$package" root; done
    rm -r cache
    touch unpacked
fi

arm() { # run a program of the root: no network, and no library from outside the root
    local libraries=$root/usr/lib/aarch64-linux-gnu
    local paths=$libraries/blas:$libraries/lapack:$root/lib/aarch64-linux-gnu:$libraries
    unshare -n qemu-aarch64 -cpu "${CPU:-cortex-a72}" -L "$root" -E LD_LIBRARY_PATH="$paths" -E PYTHONHOME="$root/usr" \
        -E PYTHONPATH="$root/usr/lib/python3/dist-packages" "$@"
}
python=$(realpath "$root/usr/bin/python3")

rm -rf bundle && mkdir bundle && tar xzf "$bundle" -C bundle --strip-components 1
arm "$python" -c 'import cv2, numpy, platform, sys
print(platform.machine(), "Python", sys.version.split()[0], "NumPy", numpy.__version__, "OpenCV", cv2.__version__)'
arm "$python" bundle/run selftest
arm "$python" bundle/run "$picture"
arm "$python" bundle/run camera --source "$(dirname "$picture")" --once --unpaced --no-page --json | tail -1
unshare -n qemu-aarch64 -cpu "${CPU:-cortex-a72}" bundle/engine/model.engine selftest
