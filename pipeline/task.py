"""What a network says about an image."""

from enum import StrEnum


class Task(StrEnum):
    """What the logits are of: images [N, classes], or their pixels [N, classes, height, width]."""

    CLASSIFY = "classify"
    SEGMENT = "segment"
