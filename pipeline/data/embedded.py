"""The folder of the images and weights that come with the project."""

from pathlib import Path

EMBEDDED = Path(__file__).resolve().parents[2] / "data"
"""Fashion-MNIST's test images, its calibration images, and weights trained on the rest."""

NAMED = {"fashion-mnist": EMBEDDED}
"""Data sets that come with the project."""
