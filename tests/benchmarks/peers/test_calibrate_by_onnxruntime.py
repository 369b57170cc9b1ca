"""onnxruntime's calibrators get every image, in batches of one size, which its histograms want."""

import numpy as np
import pytest

from benchmarks.peers.calibrate_by_onnxruntime import LARGEST_BATCH, FedBatches


@pytest.mark.parametrize(("count", "size"), [(200, 25), (64, 32), (33, 11), (37, 1)])
def test_all_batches_have_one_size(count: int, size: int) -> None:
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    fed = FedBatches(lambda: iter(np.array_split(images, range(LARGEST_BATCH, count, LARGEST_BATCH))))
    found = [batch["image"] for batch in iter(fed.get_next, None)]
    assert {len(batch) for batch in found} == {size}
    np.testing.assert_array_equal(np.concatenate(found), images)
