"""In which order layers get more precision."""

from calibration.explore.precision_steps import LayerPrice, Precision, steps
from calibration.explore.sensitivity import LayerNoise


def _taken(noise: dict[str, LayerNoise], prices: dict[str, LayerPrice]) -> list[tuple[str, Precision]]:
    return [(step.layer, step.precision) for step in steps(noise, prices)]


def test_an_activation_s_noise_is_taken_away_by_16_bits_and_that_of_weights_by_float() -> None:
    noise = {"activation": LayerNoise(20.0, 50.0), "weights": LayerNoise(20.0, 20.1)}
    prices = dict.fromkeys(noise, LayerPrice(0.1, 0.5))
    assert _taken(noise, prices) == [
        ("activation", Precision.WIDE),
        ("weights", Precision.FLOAT),
        ("activation", Precision.FLOAT),
    ]


def test_of_equal_layers_the_cheaper_one_comes_first() -> None:
    noise = dict.fromkeys(("dear", "cheap"), LayerNoise(20.0, None))
    prices = {"dear": LayerPrice(None, 0.5), "cheap": LayerPrice(None, 0.1)}
    assert [layer for layer, _ in _taken(noise, prices)] == ["cheap", "dear"]


def test_16_bits_that_take_longer_than_float_are_not_used() -> None:
    taken = _taken({"depthwise": LayerNoise(20.0, 50.0)}, {"depthwise": LayerPrice(0.2, 0.1)})
    assert taken == [("depthwise", Precision.FLOAT)]


def test_at_the_end_all_layers_are_in_float() -> None:
    noise = {str(i): LayerNoise(20.0 + i, 30.0 + 2 * i if i % 2 else None) for i in range(6)}
    prices = {name: LayerPrice(0.1, 0.2 + 0.1 * at) for at, name in enumerate(noise)}
    last = dict(_taken(noise, prices))
    assert last == dict.fromkeys(noise, Precision.FLOAT)
