"""The expected share of images that keep their class, against drawn noise."""

import torch

from calibration.expected_agreement import expected_agreement


def test_it_is_what_drawn_noise_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, 10, generator=generator)
    noise = 10 * 0.4**2
    drawn = logits + 0.4 * torch.randn(2000, 64, 10, generator=generator)
    found = float((drawn.argmax(2) == logits.argmax(1)).float().mean())
    assert 0.8 < found < 0.99
    assert abs(expected_agreement(logits, noise) - found) < 0.01


def test_pixels_count_one_by_one() -> None:
    logits = torch.tensor([[0.0, 0.0], [1.0, 4.0]]).reshape(1, 2, 1, 2)
    alone = [expected_agreement(logits[..., pixel], 0.5) for pixel in (0, 1)]
    assert abs(expected_agreement(logits, 1.0) - sum(alone) / 2) < 1e-6


def test_without_noise_all_keep_their_class() -> None:
    assert expected_agreement(torch.tensor([[1.0, 2.0]]), 0.0) == 1.0


def test_one_output_has_no_class_to_keep() -> None:
    assert expected_agreement(torch.ones(3, 1), 0.1) == 0.0
