"""What resize and crop do to pictures: in words, and to one of them."""

import numpy as np

from pipeline.data.split import Split
from pipeline.report.sections.picture_fitting import FittedPicture, PictureFitting
from pipeline.report.thumbnails import png_base64, shrink
from targets.runtime.preprocess import MARGIN, ImageError, Preprocessing

LOOKED_AT = 64
LONGEST_SIDE = 160


def fitting(split: Split, preprocessing: Preprocessing) -> PictureFitting:
    """Look at a few pictures of a split, evenly drawn, and show one that is changed, if one is."""
    shown: FittedPicture | None = None
    looked_at = untouched = 0
    for place in np.unique(np.linspace(0, len(split) - 1, min(LOOKED_AT, len(split))).astype(np.int64)):
        index = int(split.indices[place])
        try:
            picture = split.images.decode(index, preprocessing.channels)
        except ImageError:
            continue
        seen = preprocessing(picture)
        same = np.array_equal(picture, seen)
        if shown is None or (not same and untouched == looked_at):  # the first, or the first that is changed
            shown = FittedPicture(
                name=split.images.name(index),
                stored=(picture.shape[0], picture.shape[1]),
                seen=(seen.shape[0], seen.shape[1]),
                before=png_base64(shrink(picture, LONGEST_SIDE)),
                after=png_base64(shrink(seen, LONGEST_SIDE)),
            )
        looked_at += 1
        untouched += same
    return PictureFitting(words=words(preprocessing), looked_at=looked_at, untouched=untouched, picture=shown)


def words(preprocessing: Preprocessing) -> str:
    """Say what becomes of pictures of other sizes than the input's."""
    size = f"{preprocessing.height} x {preprocessing.width}"
    if preprocessing.fit in ("pad", "letterbox"):
        color = f"pixels of {list(preprocessing.border)}" if any(preprocessing.border) else "black pixels"
        scaled = (
            "only what is larger is shrunk" if preprocessing.fit == "pad" else "scaled until it just fits"
        )
        return f"centred on {size} {color}; {scaled}"
    if preprocessing.fit == "stretch":
        return f"both sides scaled to {size}; proportions change"
    if preprocessing.resize:
        return f"the shorter side scaled to {preprocessing.resize} always, and {size} cut out of the middle"
    return (
        f"a larger picture shrinks to {MARGIN[0]}/{MARGIN[1]} of {size}, a smaller one grows until it covers"
        " that, and the middle is cut out; one that fits already is not touched"
    )
