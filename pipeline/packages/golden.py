"""Pictures, their exact bytes at a network's input, and the logits they give: to check a deployment with."""

import hashlib
import io
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.bundle.manifest import EVALUATION

IMAGES = 4
LIST = "golden.json"


def golden_files(bundle: OpenBundle) -> dict[str, bytes]:
    """Return the golden files of a bundle.

    N.png is a picture of the network's own size, without loss; N.input its bytes, uint8 [H, W, C], as the
    network reads them; N.logits float32 [classes] or [classes, h, w] of the Q/DQ graph. picture.png is larger
    than most inputs, and picture.input what edgec's preprocessing makes of it. golden.json has shapes and
    digests.
    """
    with np.load(io.BytesIO(bundle.read(EVALUATION)), allow_pickle=False) as held:
        images, logits = held["images"][:IMAGES], held["int8"][:IMAGES].astype("<f4")
        picture, preprocessed = held["picture"].tobytes(), held["preprocessed"]
    files = {"picture.png": picture, "picture.input": preprocessed.tobytes()}
    for number, (image, expected) in enumerate(zip(images, logits, strict=True)):
        files[f"{number}.png"] = _png(image)
        files[f"{number}.input"] = image.tobytes()
        files[f"{number}.logits"] = expected.tobytes()
    return {**files, LIST: _listed(files, images, logits)}


def _listed(files: Mapping[str, bytes], images: NDArray[np.uint8], logits: NDArray[np.float32]) -> bytes:
    found = {
        "input": {"type": "uint8", "shape": list(images.shape[1:]), "order": "HWC", "colors": "RGB or gray"},
        "logits": {"type": "float32", "shape": list(logits.shape[1:])},
        "images": len(images),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    return (json.dumps(found, indent=1) + "\n").encode()


def _png(image: NDArray[np.uint8]) -> bytes:
    import cv2

    shown = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", shown)[1].tobytes())
