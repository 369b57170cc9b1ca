import json

import pytest

from targets.runtime.tensorrt.layers import precisions, read_layers


def described(*layers: object) -> str:
    return json.dumps({"Layers": layers, "Bindings": ["image", "logits"]})


def layer(name: str, form: str, kind: str = "CaskConvolution") -> dict[str, object]:
    return {"Name": name, "LayerType": kind, "Inputs": [{"Name": "x", "Format/Datatype": form}]}


@pytest.mark.parametrize(
    ("form", "precision"),
    [
        ("Thirty-two wide channel vectorized row major Int8 format", "INT8"),
        ("Row major linear INT8", "INT8"),
        ("Channel major FP16 format where C % 8 == 0", "FP16"),
        ("Half", "FP16"),
        ("Row major linear FP32", "FP32"),
        ("Float", "FP32"),
        ("Bool", "unknown"),
    ],
)
def test_a_layer_s_type_is_read_in_the_words_of_every_version(form: str, precision: str) -> None:
    assert read_layers(described(layer("a", form)))[0].precision == precision


def test_shares_count_layers_and_time_and_name_reformats_and_the_rest() -> None:
    layers = read_layers(
        described(
            layer("conv1", "Int8"),
            layer("conv2", "Int8"),
            layer("Reformatting CopyNode for Input Tensor 0 to conv1", "Int8", "Reformat"),
            layer("pool", "FP32", "CaskPooling"),
            layer("fc", "FP16", "CaskGemmConvolution"),
        )
    )
    found = precisions(layers, {"conv1": 0.5, "conv2": 0.25, "fc": 0.2, "pool": 0.05})
    assert (found.layers, found.int8_layers) == (5, 2)
    assert found.int8_time_share == pytest.approx(0.75)
    assert found.reformats == ("Reformatting CopyNode for Input Tensor 0 to conv1",)
    assert found.not_int8 == ("fc", "pool")


def test_an_engine_without_details_names_its_layers_only() -> None:
    layers = read_layers(described("conv1", "Reformatting CopyNode 0"))
    assert [(one.precision, one.is_reformat) for one in layers] == [("unknown", False), ("unknown", True)]
    assert precisions(layers, {}).int8_time_share == 0


@pytest.mark.parametrize("text", ["{}", "[]", "", "no json"])
def test_what_is_no_description_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_layers(text)
