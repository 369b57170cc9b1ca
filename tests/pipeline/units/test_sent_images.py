"""Images from every kind of data set are the same in another process."""

import pickle
import shutil
from pathlib import Path

import pytest

from pipeline.data.embedded import EMBEDDED
from pipeline.data.open import open_dataset
from tests.pipeline.data.pictures import as_records, class_folders, write_folder, write_idx_set, write_shards


def place(kind: str, folder: Path) -> Path:
    if kind == "embedded":
        return EMBEDDED
    if kind == "idx":
        write_idx_set(folder / "set", train=4, t10k=4)
        return folder / "set"
    if kind == "tar":
        return write_shards(folder / "set", {"val-0.tar": as_records(class_folders(val=6))})
    write_folder(folder / "set", class_folders(train=6, test=6))
    if kind == "zip":
        return Path(shutil.make_archive(str(folder / "set"), "zip", folder / "set"))
    return folder / "set"


@pytest.mark.parametrize("kind", ["embedded", "idx", "folder", "zip", "tar"])
def test_a_split_that_was_sent_has_the_same_pixels_and_digest(kind: str, tmp_path: Path) -> None:
    split = open_dataset(place(kind, tmp_path)).split("evaluation")
    sent = pickle.loads(pickle.dumps(split))
    first = int(split.indices[0])
    channels = 1 if kind in ("embedded", "idx") else 3
    assert sent.digest == split.digest
    assert sent.images.decode(first, channels).tobytes() == split.images.decode(first, channels).tobytes()
