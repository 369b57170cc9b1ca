import pytest

from targets.base import Origin
from tests.pipeline.report.samples import CPU, pixel_report, printed, report, robustness


@pytest.mark.parametrize("measured", [True, False])
def test_it_fits_80_columns_without_cutting_a_figure(measured: bool) -> None:
    shown = report(measured=measured)
    lines = printed(shown).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "…" not in printed(shown)
    top1 = next(line for line in lines if line.strip().startswith("top-1"))
    assert "96.93 %" in top1
    assert "96.80 %" in top1
    assert "+0.13 [-0.03, 0.30]" in top1


@pytest.mark.parametrize("labelled", [False, True])
def test_pixels_fit_80_columns_and_say_what_they_are_against(labelled: bool) -> None:
    text = printed(pixel_report(labelled))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert ("against masks" in text) is labelled
    assert "same class" in text


def test_at_40_columns_figures_stand_below_each_other_and_none_is_cut() -> None:
    lines = [line.strip() for line in printed(report(), width=40).splitlines()]
    assert max(map(len, lines)) <= 40
    at = lines.index("top-1")
    assert lines[at + 1 : at + 4] == ["FP32 96.93 %", "INT8 96.80 %", "drop, points +0.13 [-0.03, 0.30]"]
    assert "p50" in lines
    assert any(line.startswith("INT8 0.4199 ms [") and line.endswith("]") for line in lines)


def test_the_verdict_comes_first() -> None:
    assert printed(report()).split()[0] == "PASS"
    assert printed(report(noise=0.6)).split()[0] == "FAIL"
    assert printed(report(measured=False)).split()[0] == "INCONCLUSIVE"


def test_every_figure_says_where_it_was_measured() -> None:
    text = printed(report())
    assert "FP32 measured on host, INT8 on host" in text
    assert "INT8: host, batch 1, 1 thread, 600 runs after 60 of warm-up" in text


def test_what_was_not_measured_is_said() -> None:
    text = printed(report(measured=False))
    assert "INT8 not measured: no board connected" in text
    assert "None" not in text


def test_skipped_images_are_named_and_noise_is_called_noise() -> None:
    assert "1 unreadable image skipped: t10k/10001.jpg" in printed(report())
    shown = report()
    noisy = shown.latency_int8.replace(noisy=("p90 is 40% above the median",))
    assert "INT8 is noisy: p90 is 40% above the median" in printed(shown.replace(latency_int8=noisy))


def test_robustness_is_shown_where_it_was_tested_and_fits_80_columns() -> None:
    assert "Robustness" not in printed(report())
    text = printed(report().replace(robustness=robustness(harm=0.3)))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    rows = [line.split() for line in text.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("clean", "blur", "fog")] == ["clean", "blur", "fog"]
    assert "mean of severities 1 and 5 of CIFAR-10-C" in " ".join(text.split())
    assert "INT8 on emulator" in " ".join(text.split())
    assert "INT8 loses more under fog 1, fog 5." in " ".join(text.split())


def test_names_cannot_style_the_terminal() -> None:
    shown = report()
    subject = shown.subject.replace(model="[bold red]x[/]", target="[link=http://a]y")
    text = printed(shown.replace(subject=subject), width=120)
    assert "[bold red]x[/] for [link=http://a]y" in text


def test_a_reason_for_noise_that_both_have_is_said_once() -> None:
    shown = report()
    common, own = "load average was 4.0 on 2 cores before the first run", "p90 is 40% above the median"
    shown = shown.replace(
        latency_fp32=shown.latency_fp32.replace(noisy=(common,)),
        latency_int8=shown.latency_int8.replace(noisy=(own, common)),
    )
    text = " ".join(printed(shown).split())
    assert text.count(common) == text.count(own) == 1
    assert f"FP32 and INT8 are noisy: {common}" in text
    assert f"INT8 is noisy: {own} " in text


def test_the_processor_is_named_before_the_first_table() -> None:
    text = printed(report())
    assert f"ran on host: {CPU}" in text.split("Gates")[0]
    shown = report()
    emulated = shown.machines[1].replace(origin=Origin.EMULATOR, description="qemu-aarch64 -cpu cortex-a76")
    apart = printed(shown.replace(machines=(shown.machines[0], emulated))).split("Gates")[0]
    assert "INT8 ran on emulator: qemu-aarch64 -cpu cortex-a76" in apart
    assert f"FP32 ran on host: {CPU}" in apart
