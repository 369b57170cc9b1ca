"""libedgec decodes picture files to the pixels that calibration saw, in the network's channels."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.embedded_network import EmbeddedNetwork, EmbeddedNetworkError
from targets.runtime.preprocess import decode
from tests.targets.runtime.libedgec.conftest import Engines
from tests.targets.runtime.native.jpeg_files import segment
from tests.targets.runtime.native.png_files import exif

BAD_ARGUMENT, BAD_PICTURE = 1, 9
PICTURE = np.random.default_rng(0).integers(0, 256, (37, 52, 3), np.uint8)
JPEG, PNG, GRAY = (
    cv2.imencode(suffix, pixels)[1].tobytes()
    for suffix, pixels in ((".jpg", PICTURE), (".png", PICTURE), (".jpg", PICTURE[:, :, 0]))
)
TURNED = JPEG[:2] + segment(0xE1, b"Exif\0\0" + exif(6)) + JPEG[2:]
FILES = {"JPEG": JPEG, "PNG": PNG, "gray": GRAY, "turned": TURNED}


@pytest.mark.parametrize("color", [True, False], ids=["RGB", "gray"])
@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_becomes_the_frame_of_the_networks_channels(
    engines: Engines, file: bytes, color: bool
) -> None:
    with EmbeddedNetwork(engines.color if color else engines.gray) as network:
        frame = network.decode(file)
        channels = network.description.input[2]
        assert frame.pixels == ("RGB" if color else "GRAY")
        found = frame.planes[0].reshape(*frame.planes[0].shape[:2], channels)
        np.testing.assert_array_equal(found, decode(file, channels))
        with network.context() as context:
            assert np.isfinite(context.run_frame(frame)).all()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "neither JPEG nor PNG"),
        (b"GIF89a", "neither JPEG nor PNG"),
        (JPEG[:-2], "cut off"),
        (JPEG[:-99] + b"\xff\xd9", "damaged or cut off"),
        (PNG[:-9], "cut off"),
        (bytes(1 << 26) + b"x", "more than 67108864 bytes"),
    ],
    ids=["nothing", "GIF", "no end", "half", "half PNG", "long"],
)
def test_other_files_are_refused(bundle: Path, file: bytes, said: str) -> None:
    with EmbeddedNetwork(bundle) as network:
        with pytest.raises(EmbeddedNetworkError, match=said) as error:
            network.decode(file)
        assert error.value.status == BAD_PICTURE
