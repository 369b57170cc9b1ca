"""Sends golden inputs to a server of the KServe v2 protocol, such as Triton, and compares its logits.

python3 check_golden.pyz http://localhost:8000 MODEL [--folder golden]

Exit code 1 if one image gets another class or logits that are not numbers, or the server does not answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Sequence

import numpy as np

LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 60


class ServedProblem(ValueError):
    """A server that answers with something else than logits of the right shape."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print one line for each image, and return the exit code."""
    parser = argparse.ArgumentParser(prog="check_golden", description=__doc__)
    parser.add_argument("server", help="its address, such as http://localhost:8000")
    parser.add_argument("model", help="the model's name in the repository")
    parser.add_argument("--folder", type=Path, default=Path("golden"), help="of the golden files")
    options = parser.parse_args(arguments)
    try:
        listed = json.loads((options.folder / "golden.json").read_text())
        other = [number for number in range(listed["images"]) if not _same_class(number, listed, options)]
    except urllib.error.HTTPError as error:
        return _failed(
            "the server answers {}: {}".format(error.code, error.read(1000).decode(errors="replace"))
        )
    except (OSError, ValueError, KeyError) as error:
        return _failed(str(error))
    return _failed("another class or none for image {}".format(", ".join(map(str, other)))) if other else 0


def _failed(why: str) -> int:
    print(f"check_golden: {why}", file=sys.stderr)
    return 1


def _same_class(number: int, listed: dict[str, Any], options: argparse.Namespace) -> bool:
    pixels = (options.folder / f"{number}.input").read_bytes()
    expected = np.frombuffer((options.folder / f"{number}.logits").read_bytes(), "<f4")
    expected = expected.reshape(listed["logits"]["shape"])
    found = answered(options.server, options.model, pixels, listed["input"]["shape"]).reshape(expected.shape)
    wrong = int((~np.isfinite(found)).sum())
    if wrong:
        print(f"image {number}: NO CLASS, {wrong} of {found.size} logits are not numbers")
        return False
    same = bool((found.argmax(axis=0) == expected.argmax(axis=0)).all())
    furthest = float(np.abs(found - expected).max())
    verdict = "the same class" if same else "ANOTHER CLASS"
    print(f"image {number}: {verdict}, logits differ by up to {furthest:.4g}")
    return same


def answered(server: str, model: str, pixels: bytes, shape: Sequence[int]) -> Any:
    """Return the logits for one image, uint8 of `shape`, by the protocol's binary extension."""
    tensor = {
        "name": "image",
        "shape": [1, *shape],
        "datatype": "UINT8",
        "parameters": {"binary_data_size": len(pixels)},
    }
    wanted = {"name": "logits", "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    request = urllib.request.Request(  # noqa: S310 - the user's own server
        f"{server.rstrip('/')}/v2/models/{model}/infer",
        data=header + pixels,
        headers={"Content-Type": "application/octet-stream", LENGTH: str(len(header))},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
        data, length = reply.read(), int(reply.headers.get(LENGTH) or 0)
    outputs = json.loads(data[:length])["outputs"]
    if len(outputs) != 1 or outputs[0]["datatype"] != "FP32":
        raise ServedProblem(f"the server answers {[one.get('name') for one in outputs]}, not logits in FP32")
    return np.frombuffer(data[length:], "<f4")
