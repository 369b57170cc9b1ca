"""The folder of the images and weights that come with the project."""

from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]
INSTALLED = (_HOME / "edgec" / "data").is_dir()
"""Whether this is an installed wheel, not a checkout."""
WITH_US = _HOME / "edgec" if INSTALLED else _HOME
"""Where the files that come with the code lie: in a checkout its root, in an installed wheel a package."""
EMBEDDED = WITH_US / "data"
"""Fashion-MNIST's test images, its calibration images, and weights trained on the rest."""

NAMED = {"fashion-mnist": EMBEDDED}
"""Data sets that come with the project."""
