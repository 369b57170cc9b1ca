"""A .tflite file as a side: its own interpreter gives the logits and every tensor."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.difference.decibels import ratio_db
from pipeline.difference.side import Array, Pictures, Side, Unprepared
from pipeline.difference.tflite.flatbuffer import StoredTensor, TfliteNetwork, read_tflite
from pipeline.difference.tflite.graph_writer import TO_PLANES
from pipeline.difference.tflite.network_as_onnx import as_onnx
from pipeline.errors import CheckpointError
from pipeline.models.foreign.tried_apart import tried_apart
from pipeline.models.input_form import InputForm

SAME_ROUNDED_DB = 20.0
"""The least that the interpreter agrees with the graph: it requantises in fixed point."""
INSPECTED = 2
SCORED = 1e-9


def tflite_side(path: Path) -> Unprepared:
    """Open a file. Raises CheckpointError if it is damaged, or has an operator that is not read here."""
    network = read_tflite(path)
    sides = network.input.shape
    tried_apart(path, int(np.prod(sides)), __name__, "rehearse", path)
    height, width, channels = sides[1:]
    return Unprepared(
        name=str(path),
        size=(height, width, channels),
        takes=f"{network.input.kind} {list(sides)}",
        opened=lambda form: _opened(path, network, form),
        scores=lambda form, pictures: _scores(Interpreted(path, network, form).logits(pictures)),
        own_forms=_pixels(network.input),
    )


def rehearse(path: Path) -> None:
    """Run a file once, in a process with limits: the interpreter trusts what it reads."""
    network = read_tflite(path)
    form = InputForm("", (0.0,) * network.input.shape[3], (1.0,) * network.input.shape[3])
    _graph(path, network, form)
    Interpreted(path, network, form).logits(np.zeros((1, *network.input.shape[1:]), np.uint8))


def _graph(path: Path, network: TfliteNetwork, form: InputForm) -> Any:  # noqa: ANN401 -- onnx has no stubs
    try:
        return as_onnx(network, form)
    except (ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path}: {error}. Compare its recorded logits instead (.npy).") from error


def _pixels(tensor: StoredTensor) -> tuple[InputForm, ...]:
    """Return the form in which a quantised input takes pixels as they are."""
    if tensor.grid is None or tensor.kind not in (np.uint8, np.int8):
        return ()
    scale, zero = float(tensor.grid.scale[0]), float(tensor.grid.zero[0])
    zero += 128 if tensor.kind == np.int8 else 0
    channels = tensor.shape[3]
    numbers = (zero / 255,) * channels, (1 / (255 * scale),) * channels
    return (InputForm("pixels as they are, for its quantiser", *numbers),)


class Interpreted:
    """The interpreter with a file, whose pictures are prepared in a form."""

    def __init__(self, path: Path, network: TfliteNetwork, form: InputForm, keeps_all: bool = False) -> None:
        """Load it; keeps_all: every tensor can be read after a run. Raises CheckpointError."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._network, self._form = network, form
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keeps_all else OpResolverType.AUTO
        try:
            self._interpreter = Interpreter(
                str(path),
                num_threads=1,
                experimental_preserve_all_tensors=keeps_all,
                experimental_op_resolver_type=plain,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"LiteRT refuses {path}: {str(error).splitlines()[0]}") from error

    def logits(self, pictures: Pictures) -> Array:
        """Return the outputs as real numbers [N, classes, ...]."""
        found = []
        for picture in pictures:
            self._run(picture)
            found.append(self.real(self._network.output))
        return np.concatenate(found)

    def _run(self, picture: Pictures) -> None:
        tensor, form = self._network.input, self._form
        seen = picture[None, :, :, ::-1] if form.colors == "BGR" else picture[None]
        mean, std = (np.asarray(one, np.float32) for one in (form.mean, form.std))
        fed = ((seen / np.float32(255) - mean) / std).astype(np.float32)
        if tensor.grid is not None and np.issubdtype(tensor.kind, np.integer):
            limits = np.iinfo(tensor.kind)
            steps = np.rint(fed / tensor.grid.scale[0]) + tensor.grid.zero[0]
            fed = np.clip(steps, limits.min, limits.max)
        self._interpreter.set_tensor(tensor.index, fed.astype(tensor.kind))
        self._interpreter.invoke()

    def real(self, tensor: StoredTensor) -> Array:
        """Return a tensor of the last run as real numbers, [N, C, H, W] where it is one of pixels."""
        values = np.asarray(self._interpreter.get_tensor(tensor.index))
        if tensor.grid is not None and np.issubdtype(tensor.kind, np.integer):
            values = (values.astype(np.int64) - tensor.grid.zero[0]) * tensor.grid.scale[0]
        values = values.astype(np.float32)
        return values.transpose(TO_PLANES) if values.ndim == len(TO_PLANES) else values

    def tensors(self, picture: Pictures) -> dict[str, Array]:
        """Return every tensor for one picture [H, W, C], by the graph's names."""
        self._run(picture)
        found = {}
        for operator in self._network.operators:
            tensor = self._network.tensors[operator.outputs[0]]
            try:
                found[tensor.name] = self.real(tensor)
            except ValueError:  # one that the interpreter does not hold
                continue
        return found


def _opened(path: Path, network: TfliteNetwork, form: InputForm) -> Side:
    graph = _graph(path, network, form)
    interpreted = Interpreted(path, network, form)
    return Side(
        name=str(path),
        logits=interpreted.logits,
        graph=graph,
        size=(network.input.shape[1], network.input.shape[2], network.input.shape[3]),
        inspected=lambda pictures: _inspected(path, network, form, graph, pictures[:INSPECTED]),
        own_db=SAME_ROUNDED_DB,
    )


def _inspected(
    path: Path,
    network: TfliteNetwork,
    form: InputForm,
    graph: Any,  # noqa: ANN401 -- onnx has no stubs
    pictures: Pictures,
) -> str:
    """Compare the interpreter's own tensors with what the file means."""
    from pipeline.difference.observed import tensor_values
    from pipeline.difference.real_graph import read_real_graph

    interpreted = Interpreted(path, network, form, keeps_all=True)
    real = read_real_graph(graph)
    agreements: dict[str, float] = {}
    for picture in pictures:
        meant, own = tensor_values(real, picture[None]), interpreted.tensors(picture)
        for name, values in own.items():
            read = f"{name}/read"
            wanted = meant[read] if read in meant else meant.get(name)
            if wanted is not None and wanted.shape == values.shape:
                agreements[name] = min(agreements.get(name, np.inf), ratio_db(wanted, values))
    if not agreements:
        return "the interpreter keeps no tensors of its own"
    worst = min(agreements, key=lambda name: agreements[name])
    first = next((n for n, found in agreements.items() if found < SAME_ROUNDED_DB), None)
    said = f"{len(agreements)} tensors of its interpreter agree with the file's graph to"
    said += f" {agreements[worst]:.0f} dB and more, on {len(pictures)} pictures"
    return said if first is None else f"{said}; the first below {SAME_ROUNDED_DB:.0f} dB is {first!r}"


def _scores(logits: Array) -> Array:
    """Return logarithms of probabilities [N, classes] of logits, or of probabilities."""
    values = logits.astype(np.float64).reshape(*logits.shape[:2], -1)
    is_share = bool((values >= 0).all()) and np.allclose(values.sum(1), 1, atol=0.02)
    if not is_share:
        power = np.exp(values - values.max(1, keepdims=True))
        values = power / power.sum(1, keepdims=True)
    scores: Array = np.log(np.maximum(values.mean(2), SCORED))
    return scores
