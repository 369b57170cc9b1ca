"""A few bytes of ONNX do not make edgec compute without end, or fill the memory."""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType

import numpy as np
import onnx
import pytest

from pipeline.errors import CheckpointError
from pipeline.models.foreign import rewrite, tried_apart
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.graph_size import is_bounded
from pipeline.models.foreign.logits_output import drop_ending
from pipeline.models.foreign.normal_form.unique_names import name_every_node
from pipeline.models.foreign.normalisation import take_normalisation
from pipeline.models.foreign.onnx_file import image_input, read_onnx
from pipeline.models.foreign.simplify import drop_unused
from tests.attacks.growing import (
    averaged,
    chain,
    doubling_functions,
    endless_loop,
    network,
    node,
    range_to,
    save,
)

BIG = np.array([1 << 12, 1 << 12, 1 << 10], np.int64)
ASKING: dict[str, Callable[[], onnx.ModelProto]] = {
    "Range": lambda: network(*range_to("huge")),
    "Expand": lambda: network(
        node("Expand", ["half", "s"], ["e"]), *averaged("e"), s=BIG, half=np.float32(0.5)
    ),
    "ConstantOfShape": lambda: network(node("ConstantOfShape", ["s"], ["e"]), *averaged("e"), s=BIG),
    "Tile": lambda: network(
        node("Tile", ["r", "s"], ["e"]), *averaged("e"), s=np.array([1, 1024, 128, 128], np.int64)
    ),
    "Pad": lambda: network(
        node("Pad", ["r", "s"], ["e"]), *averaged("e"), s=np.array([0, 0, 1 << 15, 1 << 15] * 2, np.int64)
    ),
    "Resize": lambda: network(
        node("Resize", ["r", "", "s"], ["e"]), *averaged("e"), s=np.array([1, 1, 1e3, 1e3], np.float32)
    ),
    "MatMul": lambda: network(
        node("MatMul", ["a", "b"], ["e"]),
        *averaged("e"),
        a=np.ones((1 << 14, 1), np.float32),
        b=np.ones((1, 1 << 14), np.float32),
    ),
    "Concat": lambda: network(
        *(
            node("Concat", [f"i{n}" if n else "r"] * 2, ["q" if n == 19 else f"i{n + 1}"], axis=2)
            for n in range(20)
        )
    ),
}


def adopt(path: Path, size: tuple[int, int] | None = None) -> onnx.ModelProto:
    return rewrite.adopt(described(path, Description(fit="pad", size=size)), True, lambda _: None)


@pytest.mark.parametrize("operator", ASKING)
def test_a_tensor_of_unusual_size_is_refused_before_it_is_made(operator: str, tmp_path: Path) -> None:
    path = save(ASKING[operator](), tmp_path)
    with pytest.raises(CheckpointError, match=rf"its {operator} makes '\w+' of [\d,]+ values"):
        adopt(path)


def test_a_constant_of_another_size_than_its_shape_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: nothing reads the constant, so that the checker lets it through."""
    model = network(node("Relu", ["r"], ["q"]), spare=np.zeros(2, np.int64))
    del model.graph.initializer[-1].dims[:]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="cannot reshape array of size 2"):
        read_onnx(tmp_path / "net.onnx")


def test_many_constants_that_are_large_together_are_refused(tmp_path: Path) -> None:
    made = [node("ConstantOfShape", ["s"], [f"e{n}"]) for n in range(8)]
    joined = node("Concat", [f"e{n}" for n in range(8)], ["e"], axis=0)
    path = save(network(*made, joined, *averaged("e"), s=np.array([1 << 21], np.int64)), tmp_path)
    with pytest.raises(CheckpointError, match="its ConstantOfShape makes 'e4' of 2,097,152 values"):
        adopt(path)


def test_a_graph_that_computes_its_size_is_tried_with_limits(tmp_path: Path) -> None:
    model = network(node("Mul", ["many", "many"], ["limit"]), *range_to("limit"))
    with pytest.raises(CheckpointError, match=r"net\.onnx needs more than \d+ MiB of memory"):
        adopt(save(model, tmp_path))


def test_a_graph_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried_apart, "ONNX_SECONDS", 1)
    computed = node("And", ["true", "true"], ["sure"])
    model = network(computed, endless_loop(), *averaged("e"), true=np.bool_(True), half=np.float32(0.5))
    with pytest.raises(CheckpointError, match=r"net\.onnx takes more than 1 s of processor time"):
        adopt(save(model, tmp_path))


def test_a_graph_that_passes_its_trial_is_read(tmp_path: Path) -> None:
    model = network(node("Mul", ["one", "one"], ["limit"]), *range_to("limit"))
    assert not is_bounded(model, tmp_path / "net.onnx")
    assert adopt(save(model, tmp_path)).graph.output[0].name == "logits"


@pytest.mark.parametrize(
    "model",
    [
        lambda: network(node("g0", ["r"], ["q"], domain="f"), functions=doubling_functions(40)),
        lambda: network(*chain("Identity", 10_000)),
    ],
    ids=["functions", "chain"],
)
def test_more_nodes_than_networks_have_are_refused(
    model: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"has [\d,]+ nodes; at most 10,000"):
        read_onnx(save(model(), tmp_path))


def test_images_larger_than_any_camera_takes_are_refused(tmp_path: Path) -> None:
    model = network(node("Relu", ["r"], ["q"]))
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.Clear()
    with pytest.raises(CheckpointError, match="takes images of 1,099,511,627,776 values"):
        adopt(save(model, tmp_path), size=(1 << 20, 1 << 20))


def lines_run(work: Callable[[], None]) -> int:
    """How many lines of Python run: a measure of work that is the same on every machine."""
    count = 0

    def trace(_: FrameType, event: str, __: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("work", [name_every_node, drop_unused])
def test_the_work_grows_no_faster_than_a_chain_of_relus(work: Callable[[onnx.ModelProto], None]) -> None:
    short, long = (lines_run(lambda n=n: work(network(*chain("Relu", n)))) for n in (200, 400))  # type: ignore[misc]
    assert long < 2.5 * short


def with_ending(softmaxes: int) -> onnx.ModelProto:
    model = network(node("Identity", ["r"], ["q"]))
    model.graph.node[-1].output[0] = "s0"
    names = [f"s{n}" for n in range(softmaxes)] + ["y"]
    model.graph.node.extend(node("Softmax", [x], [y]) for x, y in pairwise(names))
    return model


def with_normalisation(steps: int) -> onnx.ModelProto:
    model = network(node("Identity", ["r"], ["q"]), half=np.full(1, 0.5, np.float32))
    names = ["x"] + [f"s{n}" for n in range(steps)]
    model.graph.node[0].input[0] = names[-1]
    whole = [node("Sub", [x, "half"], [y]) for x, y in pairwise(names)] + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(whole)
    return model


def test_what_stands_behind_the_logits_is_left_out_in_proportion_to_it() -> None:
    def work(model: onnx.ModelProto) -> None:
        drop_ending(model, lambda _: None)
        assert [one.op_type for one in model.graph.node[-2:]] == ["Flatten", "Gemm"]
        assert model.graph.output[0].name == "s0"

    models = [with_ending(n) for n in (200, 400)]
    short, long = (lines_run(lambda m=m: work(m)) for m in models)  # type: ignore[misc]
    assert long < 2.5 * short


def test_a_normalisation_is_taken_in_proportion_to_its_steps(tmp_path: Path) -> None:
    path = save(with_normalisation(10), tmp_path)
    source = described(path, Description(fit="pad"))

    def work(model: onnx.ModelProto, steps: int) -> None:
        start = take_normalisation(model, source, image_input(model, path))
        assert start.tensor == model.graph.node[0].input[0] == f"s{steps - 1}"

    models = {n: with_normalisation(n) for n in (200, 400)}
    short, long = (lines_run(lambda n=n, m=m: work(m, n)) for n, m in models.items())  # type: ignore[misc]
    assert long < 2.5 * short


def test_shapes_that_cannot_be_inferred_are_refused_before_the_checker_sees_them(tmp_path: Path) -> None:
    model = network(node("Identity", ["r"], ["q"]))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.node[-1].output[:]
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="not a valid ONNX model"):
        read_onnx(path)


@pytest.mark.parametrize("groups", [0, -1, 2, 5])
def test_kernels_that_cannot_be_parted_into_groups_are_refused(groups: int, tmp_path: Path) -> None:
    graph = network(node("Conv", ["r", "w"], "q", group=groups), w=np.ones((3, 3, 1, 1), np.float32))
    with pytest.raises(CheckpointError, match=f"3 kernels in {groups} groups"):
        adopt(save(graph, tmp_path))
