"""Labelled images from the formats people have, in three disjoint roles, read as a stream; no torch here."""
