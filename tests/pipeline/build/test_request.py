"""A configuration becomes a request with the objects that stages need."""

import pytest

from pipeline.build.request import Request
from pipeline.config import BuildConfig
from pipeline.progress import Silent


@pytest.mark.parametrize(("seconds", "warm_up"), [(0.2, 0.2), (10.0, 5.0)])
def test_warming_up_takes_no_longer_than_measuring_may(seconds: float, warm_up: float) -> None:
    config = BuildConfig.model_validate({"latency": {"seconds": seconds}})
    settings = Request(config, Silent()).latency_settings
    assert (settings.max_seconds, settings.max_warmup_seconds) == (seconds, warm_up)
