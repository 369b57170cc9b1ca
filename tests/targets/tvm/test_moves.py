"""Values that are only moved, and gates of pixels and channels: against onnxruntime, and in all bits."""

from pathlib import Path

import numpy as np
import pytest

from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph, Island
from targets.tvm.operators.element_by_element import Add, Multiply
from targets.tvm.operators.resizing import Pick
from targets.tvm.operators.window_pooling import ChannelMax
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, check, emulated
from tests.targets.tvm.meaning import in_floats
from tests.targets.tvm.qdq_model import QdqModel

HEIGHT, WIDTH = 6, 5


class Shuffles(QdqModel):
    """A convolution of `channels`, and what newer networks do with them."""

    def __init__(self, channels: int) -> None:
        super().__init__(HEIGHT, WIDTH, 3, seed=channels)
        self.channels = channels
        self.x = self.quantized(self.conv(self.image(), channels, 3), 0.5, 120)

    def constants(self, *values: list[int]) -> list[str]:
        return [self.constant(np.array(value, np.int64)) for value in values]

    def same(self, x: str) -> str:
        return self.quantized(x, 0.5, 120)

    def shuffled(self, x: str, groups: int) -> str:
        size = [HEIGHT, WIDTH]
        apart, together = self.constants(
            [0, groups, self.channels // groups, *size], [0, self.channels, *size]
        )
        turned = self.node("Transpose", self.node("Reshape", x, apart), perm=[0, 2, 1, 3, 4])
        return self.same(self.node("Reshape", turned, together))

    def shuffled_last(self, x: str, groups: int) -> str:
        """With the channels last, as Keras has them."""
        size = [HEIGHT, WIDTH]
        apart, together = self.constants(
            [-1, *size, groups, self.channels // groups], [-1, *size, self.channels]
        )
        last = self.node("Transpose", x, perm=[0, 2, 3, 1])
        turned = self.node("Transpose", self.node("Reshape", last, apart), perm=[0, 1, 2, 4, 3])
        return self.same(self.node("Transpose", self.node("Reshape", turned, together), perm=[0, 3, 1, 2]))

    def split(self, x: str, *sizes: int) -> list[str]:
        name = self.node("Split", x, *self.constants(list(sizes)), axis=1)
        parts = [name, *(f"{name}{i}" for i in range(1, len(sizes)))]
        self.nodes[-1].output[:] = parts
        return [self.same(part) for part in parts]

    def gathered(self, x: str, channels: list[int]) -> str:
        return self.same(self.node("Gather", x, *self.constants(channels), axis=1))

    def cut(self, x: str, first: int, last: int, axis: int) -> str:
        return self.same(self.node("Slice", x, *self.constants([first], [last], [axis], [1])))

    def spatial_gate(self, x: str) -> str:
        """Of the mean and the largest of each pixel's channels, as in CBAM."""
        mean = self.quantized(self.node("ReduceMean", x, axes=[1]), 0.4, 90)
        largest = self.same(self.node("ReduceMax", x, axes=[1]))
        seen = self.quantized(self.node("Concat", mean, largest, axis=1), 0.5, 120)
        gate = self.quantized(
            self.node("Sigmoid", self.quantized(self.conv(seen, 1, 2), 0.03, 128)), 1 / 255, 0
        )
        return self.quantized(self.node("Mul", x, gate), 0.4, 110)

    def save_classifier(self, x: str, channels: int, path: Path) -> Path:
        pooled = self.quantized(self.node("GlobalAveragePool", x), 0.1, 100)
        return self.save(self.gemm(self.node("Flatten", pooled), 5, channels), path)


def shuffle_net(path: Path) -> Path:
    """Split in halves, one of them convolved, joined, and shuffled; in two ways."""
    m = Shuffles(24)
    kept, worked = m.split(m.shuffled(m.x, 3), 12, 12)
    worked = m.same(m.conv(worked, 12, 12))
    joined = m.same(m.node("Concat", worked, kept, axis=1))
    x = m.gathered(m.shuffled_last(joined, 2), [*range(23, -1, -1)])
    return m.save_classifier(m.same(m.conv(m.cut(x, 3, 22, 1), 8, 19)), 8, path)


def attention(path: Path) -> Path:
    """A gate for each pixel, then differences to one pixel and to another tensor."""
    m = Shuffles(40)
    x = m.spatial_gate(m.x)
    mean = m.quantized(m.node("GlobalAveragePool", x), 0.1, 100)
    apart = m.quantized(m.node("Sub", x, mean), 0.4, 128)
    apart = m.quantized(m.node("Sub", apart, m.x), 0.6, 120)
    apart = m.quantized(m.node("Add", mean, apart), 0.6, 120)
    return m.save_classifier(apart, 40, path)


def cropped(path: Path) -> Path:
    """Rows are cut off, others mirrored; few channels."""
    m = Shuffles(6)
    x = m.cut(m.x, 1, 5, 2)
    padded = m.node("Pad", x, *m.constants([0, 0, 2, 1, 0, 0, 1, 3]), mode="reflect")
    return m.save_classifier(m.spatial_gate(m.same(padded)), 6, path)


NETWORKS = {"shuffles": shuffle_net, "attention": attention, "crop": cropped}


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return NETWORKS[request.param](tmp_path_factory.mktemp("moves") / "model.onnx")


@pytest.fixture
def graph(model: Path) -> IntegerGraph:
    return import_graph(model)


def test_all_of_it_is_integer_and_what_onnxruntime_means(model: Path, graph: IntegerGraph) -> None:
    """Within the rounding of halves, which float32 may bring to the other side."""
    assert not any(isinstance(op, Island) for op in graph.operators)
    images = np.random.default_rng(1).integers(0, 256, (8, HEIGHT, WIDTH, 3)).astype(np.uint8)
    found, expected = oracle.run(graph, images), in_floats(model, images)
    assert np.square(found - expected).sum() <= 1e-4 * np.square(expected).sum()


def test_what_is_moved_several_times_is_copied_once_where_it_is_read(tmp_path: Path) -> None:
    """Shuffled and split: a copy for each half. Shuffled, all backwards, and cut: one."""
    operators = import_graph(shuffle_net(tmp_path / "model.onnx")).operators
    assert sum(isinstance(op, Pick) for op in operators) == 3


def test_every_step_of_a_shuffle_may_be_rounded_to_the_same_grid(tmp_path: Path) -> None:
    """As onnxruntime's quantiser writes it."""
    m = Shuffles(8)
    apart, together = m.constants([0, 2, 4, HEIGHT, WIDTH], [0, 8, HEIGHT, WIDTH])
    grouped = m.same(m.node("Reshape", m.x, apart))
    turned = m.same(m.node("Transpose", grouped, perm=[0, 2, 1, 3, 4]))
    moved = m.same(m.node("Reshape", turned, together))
    graph = import_graph(m.save_classifier(m.same(m.conv(moved, 8, 8)), 8, tmp_path / "model.onnx"))
    assert not any(isinstance(op, Island) for op in graph.operators)
    assert sum(isinstance(op, Pick) for op in graph.operators) == 1


def test_there_and_back_is_no_copy(tmp_path: Path) -> None:
    m = Shuffles(8)
    apart, together = m.constants([0, 2, 4, HEIGHT, WIDTH], [0, 8, HEIGHT, WIDTH])
    moved = m.node("Reshape", m.node("Reshape", m.x, apart), together)
    graph = import_graph(m.save_classifier(m.same(m.conv(moved, 8, 8)), 8, tmp_path / "model.onnx"))
    assert not any(isinstance(op, Pick | Island) for op in graph.operators)


def test_pixels_that_become_channels_run_in_float(tmp_path: Path) -> None:
    m = Shuffles(HEIGHT * WIDTH)
    turned = m.node("Reshape", m.x, *m.constants([0, HEIGHT * WIDTH, HEIGHT, WIDTH]))
    mixed = m.node(
        "Transpose", m.node("Reshape", turned, *m.constants([0, HEIGHT * WIDTH, -1])), perm=[0, 2, 1]
    )
    back = m.node("Reshape", mixed, *m.constants([0, HEIGHT * WIDTH, HEIGHT, WIDTH]))
    path = m.save_classifier(m.same(m.conv(m.same(back), 8, HEIGHT * WIDTH)), 8, tmp_path / "model.onnx")
    assert any(isinstance(op, Island) for op in import_graph(path).operators)


def test_attention_has_a_number_for_each_pixel_and_one_for_each_channel(tmp_path: Path) -> None:
    operators = import_graph(attention(tmp_path / "model.onnx")).operators
    assert [op.factor.channels for op in operators if isinstance(op, Multiply)] == [1]
    shapes = [op.residual.tensor for op in operators if isinstance(op, Add)]
    assert [(t.height, t.width) for t in shapes] == [(1, 1), (HEIGHT, WIDTH), (1, 1)]
    assert sum(isinstance(op, ChannelMax) for op in operators) == 1


@pytest.mark.parametrize("isa", ["avx512vnni", "avxvnni", "avx2"])
def test_engines_of_this_machine_have_the_same_bits(graph: IntegerGraph, isa: str) -> None:
    check(graph, native(isa))


@pytest.mark.parametrize(
    "isa", ["neon", *(pytest.param(name, marks=pytest.mark.slow) for name in EMULATED if name != "neon")]
)
def test_engines_of_boards_have_the_same_bits(graph: IntegerGraph, isa: str) -> None:
    check(graph, emulated(isa))
