"""A folder to build a container image from: for JetPack 5, 6 and 7, whose images bring other TensorRTs."""

from collections.abc import Mapping

from pipeline.packages.jetson_graphs import below, require_jetson
from targets.runtime.bundle.archive import OpenBundle

BASES = {
    "5": "nvcr.io/nvidia/l4t-tensorrt:r8.5.2-runtime",
    "6": "nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime",
    "7": "nvcr.io/nvidia/tensorrt:25.08-py3",
}
"""NVIDIA's images by JetPack: TensorRT 8.5.2, 10.3 and 10.13. Names as others use them in public recipes."""
ENGINES = "/var/lib/edgec"
DOCKERFILE = """# JetPack {jetpack}: docker build --file jetpack{jetpack}.Dockerfile --tag {tag} .
FROM {base}
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends python3-numpy python3-opencv \\
 && rm -rf /var/lib/apt/lists/*
# TensorRT cannot be loaded while an image is built, since the driver comes with the device
RUN python3 -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('tensorrt') and \\
    'this image has no TensorRT for Python: add python3-libnvinfer to the packages above')"
COPY bundle /opt/edgec
COPY start.sh /opt/edgec-start
VOLUME {engines}
WORKDIR {engines}
ENTRYPOINT ["/opt/edgec-start"]
CMD ["--help"]
"""
START = """#!/bin/sh
# Builds the engines in the volume, unless they are there for this device; then `./run` with the arguments.
# An engine is of one device and one TensorRT, so none is in the image.
set -eu
image=${EDGEC_IMAGE_FOLDER:-/opt/edgec} engines=${EDGEC_ENGINES:-/var/lib/edgec}
name=$(sha256sum "$image/manifest.json" | cut -c 1-16)
if [ ! -d "$engines/$name" ]; then
    rm -rf "$engines/$name.part"
    cp -r "$image" "$engines/$name.part"
    mv "$engines/$name.part" "$engines/$name"
fi
cd "$engines/$name"
# shellcheck disable=SC2086 # several options, such as EDGEC_BUILD="--max-drop 2 --quick"
./build_on_device.py ${EDGEC_BUILD:-} >&2
exec ./run "$@"
"""
RUN = """#!/bin/sh
# ./run-container.sh ARGUMENTS: what `./run` of the bundle takes, such as `selftest` or `camera`.
# The volume keeps the engines. Give it a camera by the variable EDGEC_DOCKER="--device /dev/video0".
exec docker run --rm --runtime nvidia --volume edgec-engines:{engines} ${{EDGEC_DOCKER:-}} {tag} "$@"
"""
READ_ME = """# {tag}: a container for a Jetson

On a Jetson with JetPack 6 (5 and 7 have files of their own, since the driver follows JetPack):

    docker build --file jetpack6.Dockerfile --tag {tag} .
    ./run-container.sh selftest

The first start builds and compares the engines on this device, which takes minutes; the volume
`edgec-engines` keeps them. Within a container clocks cannot be locked and the power mode cannot be read, so
`engine/device.json` says that. EDGEC_BUILD has options of build_on_device.py, EDGEC_DOCKER of `docker run`.

| JetPack | image | TensorRT |
|---|---|---|
| 5.1 | {base5} | 8.5.2 |
| 6.1, 6.2 | {base6} | 10.3 |
| 7.0, 7.1 | {base7} | 10.13 |

No image was built from these recipes and none has run on a Jetson yet. What starts in them was tried with
programs that stand in for the engine.
"""


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a Jetson."""
    manifest = bundle.manifest
    require_jetson(bundle, "container")
    tag = f"edgec-{manifest.model}".lower()
    named = {
        f"jetpack{jetpack}.Dockerfile": DOCKERFILE.format(
            jetpack=jetpack, base=base, tag=tag, engines=ENGINES
        )
        for jetpack, base in BASES.items()
    }
    bases = {f"base{jetpack}": base for jetpack, base in BASES.items()}
    texts = {
        **named,
        "start.sh": START,
        "run-container.sh": RUN.format(tag=tag, engines=ENGINES),
        "README.md": READ_ME.format(tag=tag, **bases),
    }
    return {**below("bundle", bundle.contents()), **{name: text.encode() for name, text in texts.items()}}
