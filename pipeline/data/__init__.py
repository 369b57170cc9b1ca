"""Labelled images from the formats people have, in three disjoint roles, read as a stream; no torch here."""

from pipeline.data.open import open_dataset as open_dataset
