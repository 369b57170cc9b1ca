"""A container image without a file system of its own: the service, and the engine that it serves."""

import hashlib
import json
from collections.abc import Mapping

from pipeline.packages.cpu_engine import SERVE, engine_files, machine, package_name, require_cpu
from pipeline.packages.jetson_graphs import below
from pipeline.packages.plain_tar import packed, plain_tar
from targets.runtime.bundle.archive import OpenBundle

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
"""Media types of the OCI Image Format Specification 1.0."""
NOBODY = "65534:65534"
READ_ME = """# {tag}: a container that serves {model}

`image` is an OCI image layout ({size:,} bytes): nothing but edgec-serve and the engine.

    skopeo copy oci:image docker-daemon:{tag}:latest          # or docker://REGISTRY/{tag}
    podman run --read-only --cap-drop all -e EDGEC_TOKEN=SECRET -p 8000:8000 {tag}
    curl -H 'Authorization: Bearer SECRET' http://127.0.0.1:8000/v2/models/{served}

Without EDGEC_TOKEN, a secret of 16 characters or more, it does not start. Where nothing but a proxy of yours
reaches it, give `--host 0.0.0.0 --without-token` as arguments. It runs as nobody and writes nothing.
"""


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a CPU."""
    require_cpu(bundle, "oci")
    tag = f"edgec-{package_name(bundle)}"
    image = _image(bundle, tag)
    text = READ_ME.format(
        tag=tag,
        model=bundle.manifest.model,
        served=bundle.manifest.model,
        size=sum(len(data) for data in image.values()),
    )
    return {**below("image", image), "README.md": text.encode()}


def _image(bundle: OpenBundle, tag: str) -> dict[str, bytes]:
    layer = plain_tar({"edgec-serve": bundle.read(SERVE), **below("model", engine_files(bundle))})
    blobs: dict[str, bytes] = {}

    def add(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    config = {
        "architecture": ARCHITECTURES[machine(bundle)],
        "os": "linux",
        "config": {
            "User": NOBODY,
            "Entrypoint": ["/edgec-serve", "/model"],
            "Cmd": ["--host", "0.0.0.0"],  # noqa: S104 - within a container, which publishes it or not
            "ExposedPorts": {"8000/tcp": {}},
            "StopSignal": "SIGTERM",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": add(_json(config), CONFIG),
        "layers": [add(packed(layer), LAYER)],
    }
    named = {"annotations": {"org.opencontainers.image.ref.name": f"{tag}:latest"}}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**add(_json(manifest), MANIFEST), **named}],
    }
    return {**blobs, "index.json": _json(index), "oci-layout": _json({"imageLayoutVersion": "1.0.0"})}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
