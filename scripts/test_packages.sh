#!/usr/bin/env bash
# Install what the tests use from the system, where that needs no question; else say what will be skipped.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)                              # reports in a real browser
command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)                         # engines for ARM, bit for bit
command -v ssh >/dev/null || missing+=(openssh-client)                             # devices over the network
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)                                 # the same, a real one to talk to
[ -d /usr/share/datasets/fashion-mnist ] || missing+=(dataset-fashion-mnist)       # data/ re-created byte for byte
pkg-config --exists gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null ||
    missing+=(build-essential pkg-config libgstreamer-plugins-base1.0-dev)         # the element, compiled
gst-inspect-1.0 --exists videotestsrc 2>/dev/null || missing+=(gstreamer1.0-tools gstreamer1.0-plugins-base)
gst-inspect-1.0 --exists jpegenc 2>/dev/null || missing+=(gstreamer1.0-plugins-good)
command -v lintian >/dev/null || missing+=(lintian)                                # packages for Debian
command -v skopeo >/dev/null || missing+=(skopeo)                                  # container images, read by others
command -v umoci >/dev/null || missing+=(umoci)                                    # the same, unpacked
command -v nix-instantiate >/dev/null || missing+=(nix-bin)                        # a recipe of docs/integrate.md
command -v slurmctld >/dev/null || missing+=(slurm-wlm)                            # jobs as workers
command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing+=(iproute2)             # machines with networks of their own
[ ${#missing[@]} = 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing for the tests: ${missing[*]}"
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 || { cat "$log" >&2; echo "Not installed; the tests that need them are skipped: ${missing[*]}"; }
    rm -f "$log"
else
    echo "Not installed, so the tests that need them are skipped: ${missing[*]}. To run them: apt-get install ${missing[*]}"
fi
