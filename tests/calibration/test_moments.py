"""Means of layers' inputs, for every kind of convolution: the base of bias correction."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import unfold

from calibration.activations import InstrumentedModel
from calibration.collect import collect
from calibration.find_parameters import find_parameters
from calibration.moments import InputMoments, moments_by_layer
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Separable, export

SIZE = (16, 16, 3)


def test_corrected_biases_give_each_layer_the_mean_output_of_the_float_one(tmp_path: Path) -> None:
    network, images = Separable(), pictures(8, SIZE)
    source = export(network, tmp_path / "float.onnx", SIZE).path
    recipe, graph = QuantRecipe.parse("w8a8_asym_bc"), OnnxGraph.load(source)
    placement = place(graph, recipe)
    found = find_parameters(graph, placement, collect(source, [images], recipe), recipe, [images])
    reads = network.layers(torch.from_numpy(images))
    for index, layer in found.layers.items():
        name = next((name for name in reads if name in graph.nodes[index].name), None)
        if name not in ("depthwise", "grouped"):
            continue
        convolution, x = reads[name]
        grid = found.grids[graph.nodes[index].input[0]]
        rounded = torch.from_numpy(grid.dequantize(grid.quantize(x.detach().numpy())))
        wanted = convolution(x).mean((0, 2, 3)).detach().numpy()
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(layer.weight.dequantize()))
            convolution.bias = nn.Parameter(torch.from_numpy(layer.bias))
            given = convolution(rounded).mean((0, 2, 3)).numpy()
        np.testing.assert_allclose(given, wanted, atol=1e-5)
        reads.pop(name)
    assert list(reads) == ["stem"]


def test_each_group_of_a_convolution_has_a_covariance_of_its_own(tmp_path: Path) -> None:
    """Against torch's patches; the images are so small that all patches are sampled."""
    network, images = Separable(), pictures(32, (8, 8, 3))
    source = export(network, tmp_path / "float.onnx", (8, 8, 3)).path
    recipe, graph = QuantRecipe.parse("w8a8_asym_obq"), OnnxGraph.load(source)
    placement = place(graph, recipe)
    grids = find_parameters(graph, placement, collect(source, [images], recipe), recipe, [images]).grids
    found = dict(moments_by_layer(graph, placement, grids, [images], lambda _: None))
    reads = network.layers(torch.from_numpy(images))
    for index, moments in found.items():
        name = next((name for name in reads if name in graph.nodes[index].name), None)
        if name not in ("depthwise", "grouped"):
            continue
        convolution, x = reads.pop(name)
        grid = grids[graph.nodes[index].input[0]]
        rounded = torch.from_numpy(grid.dequantize(grid.quantize(x.detach().numpy())))
        kernel, apart, pads, strides = (
            (int(pair[0]), int(pair[1]))
            for pair in (
                convolution.kernel_size,
                convolution.dilation,
                convolution.padding,
                convolution.stride,
            )
        )
        patches = unfold(rounded, kernel, apart, pads, strides).transpose(1, 2).flatten(0, 1)
        of_group = patches.reshape(len(patches), convolution.groups, -1).numpy()
        expected = [np.cov(of_group[:, group].T, bias=True) for group in range(convolution.groups)]
        assert moments.covariance is not None
        np.testing.assert_allclose(moments.covariance, expected, atol=1e-4 * np.abs(expected).max())
    assert list(reads) == ["stem"]


def test_inputs_that_hardly_change_have_a_positive_definite_hessian() -> None:
    """Their covariance is a difference of far larger numbers in float32: eigenvalues come out negative."""
    rng = np.random.default_rng(3)
    patches = (1000 + rng.normal(0, 1e-2, (64, 40))).astype(np.float32)
    mean = patches.mean(0, dtype=np.float64)
    products = np.asarray(patches.T @ patches / len(patches), np.float32)
    covariance = products - np.outer(mean, mean).astype(np.float32)
    assert np.linalg.eigvalsh(covariance.astype(np.float64))[0] < 0
    found = InputMoments(covariance[None], mean, mean)
    np.linalg.cholesky(found.hessian[0])


def test_where_only_pixels_are_read_no_tensor_is_returned(tmp_path: Path) -> None:
    """As of a network whose first convolution is its only layer."""
    source = export(Separable(), tmp_path / "float.onnx", SIZE).path
    assert list(InstrumentedModel(OnnxGraph.load(source), ()).run(pictures(3, SIZE))) == [{}]
