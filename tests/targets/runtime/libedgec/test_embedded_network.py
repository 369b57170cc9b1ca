"""What libedgec opens, how it describes it, and with which errors it refuses the rest."""

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bundle.pack import pack
from targets.runtime.compiled_libedgec import LIBRARY, definitions
from targets.runtime.cpu import HWCAPS, NEEDED
from targets.runtime.embedded_frame import MATRICES, PIXELS, RANGES
from targets.runtime.embedded_network import FITS, VERSION, EmbeddedNetwork, EmbeddedNetworkError
from targets.runtime.native_runner import open_engine
from targets.runtime.preprocess import Preprocessing
from tests.targets.runtime.libedgec.conftest import Engines
from tests.targets.runtime.libedgec.tiny_networks import CLASSES, CROP, PackedNetwork

DIGEST, NO_FILE, NO_BUNDLE, PROCESSOR = 4, 2, 3, 5
HEADER = (LIBRARY / "edgec.h").read_text()


def test_a_bundle_its_folder_and_its_bytes_are_the_same_network(
    engines: Engines, bundle: Path, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    with open_engine(engines.color) as runner:
        expected = runner.infer(image[None])[0]
    folder = PackedNetwork(engines.color).unpacked(tmp_path / "folder")
    for source in (bundle, folder, bundle.read_bytes()):
        with EmbeddedNetwork(source) as network, network.context() as context:
            assert np.array_equal(context.run(image), expected)
            about = network.description
            assert (about.model, about.target, about.classes) == ("tiny", "host", CLASSES)
            assert (about.input, about.output) == ((24, 20, 3), (7, 1, 1))
            assert about.sha256 == hashlib.sha256(engines.color.read_bytes()).hexdigest()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_engine_file_is_enough_but_has_no_names(engines: Engines, threads: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 24, 20, 3), np.uint8)
    with open_engine(engines.color) as runner:
        expected = runner.infer(images)
    for source in (engines.color, engines.color.read_bytes()):
        with EmbeddedNetwork(source) as network, network.context(threads) as context:
            assert np.array_equal([context.run(image) for image in images], expected)
            assert (network.description.model, network.description.classes[:2]) == ("", ("0", "1"))
            assert (network.description.fit, network.description.resize) == ("crop", 0)


def test_what_a_picture_is_fitted_by_is_described(engines: Engines, tmp_path: Path) -> None:
    fitting = Preprocessing(24, 20, 3, "letterbox", border=(1, 2, 3))
    with EmbeddedNetwork(PackedNetwork(engines.color, fitting).unpacked(tmp_path)) as network:
        assert (network.description.fit, network.description.border) == ("letterbox", (1, 2, 3))


def test_the_likeliest_classes_come_with_their_softmax(bundle: Path) -> None:
    logits = np.array([0.5, 2.0, -1.0, 2.0, 0.0, 1.0, -3.0], np.float32)
    exact = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
    with EmbeddedNetwork(bundle) as network:
        found = network.likeliest(logits, 9)
        assert [name for name, _ in found] == [CLASSES[k] for k in (1, 3, 5, 0, 4, 2, 6)]
        assert np.allclose([p for _, p in found], np.sort(exact)[::-1], rtol=1e-6)
        assert network.likeliest(np.array([*logits[:-1], np.nan], np.float32)) == []
        with pytest.raises(ValueError, match="8 logits"):
            network.likeliest(np.zeros(8, np.float32))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12), min_size=7, max_size=7))
def test_names_of_classes_arrive_in_every_script(
    engines: Engines, tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = PackedNetwork(engines.color, changes=(("classes", tuple(names)),)).unpacked(
        tmp_path_factory.mktemp("names")
    )
    with EmbeddedNetwork(folder) as network:
        assert network.description.classes == tuple(names)


def refused(source: Path | bytes, sha256: str | None = None) -> tuple[int, str]:
    with pytest.raises(EmbeddedNetworkError) as error:
        EmbeddedNetwork(source, sha256)
    return error.value.status, str(error.value)


def test_another_digest_than_was_asked_for_is_refused(bundle: Path, engines: Engines, tmp_path: Path) -> None:
    folder = PackedNetwork(engines.color).unpacked(tmp_path / "folder")
    for source, file in ((bundle, bundle), (folder, folder / "manifest.json"), (bundle.read_bytes(), bundle)):
        right = hashlib.sha256(file.read_bytes()).hexdigest()
        EmbeddedNetwork(source, right.upper()).close()
        status, told = refused(source, "0" * 64)
        assert (status, right in told) == (DIGEST, True)
        assert refused(source, right[:-1])[0] == DIGEST


def test_a_changed_engine_is_refused_whatever_was_changed(engines: Engines, tmp_path: Path) -> None:
    folder = PackedNetwork(engines.color).unpacked(tmp_path)
    engine = folder / "engine" / "model.engine"
    content = engine.read_bytes()
    for place in (100, len(content) // 2, len(content) - 200):
        engine.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert refused(folder)[0] == DIGEST


def test_whatever_is_cut_off_is_refused(engines: Engines, bundle: Path) -> None:
    for whole in (bundle.read_bytes(), engines.color.read_bytes()):
        for size in (0, 1, 20, 200, len(whole) // 2, len(whole) - 8, len(whole) - 1):
            assert refused(whole[:size])[0] == NO_BUNDLE


def test_an_archive_with_a_changed_bit_is_refused(bundle: Path) -> None:
    whole = bundle.read_bytes()
    for place in range(20, len(whole), len(whole) // 60):
        status, _ = refused(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert status in (NO_BUNDLE, DIGEST)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"runner": "tensorrt.runner"}, "not for CPUs"),
        ({"state": "not built on device"}, "not for CPUs"),
        ({"engine": "../model.engine"}, "lacks classes, an engine"),
        ({"files": {"engine/model.engine": "0" * 64}}, "the engine was changed"),
        ({"files": {"engine/model.engine": "0"}}, "lacks classes"),
        ({"classes": ("one", "two")}, "do not belong together"),
        ({"classes": ()}, "lacks classes"),
        ({"pixels": (3, 3)}, "do not belong together"),
        ({"pixels": (0, 3)}, "its pixels are not a size"),
        ({"preprocessing": {**CROP.as_dict(), "fit": "melt"}}, "preprocessing"),
        ({"preprocessing": {**CROP.as_dict(), "height": 25}}, "do not belong together"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(
    engines: Engines, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    network = PackedNetwork(engines.color, changes=tuple(changes.items()))
    for source in (network.unpacked(tmp_path / "folder"), network.packed(tmp_path / "packed.edgec")):
        status, text = refused(source)
        assert told in text
        assert status in (NO_BUNDLE, DIGEST)


def test_an_engine_outside_of_its_bundle_is_not_read(engines: Engines, tmp_path: Path) -> None:
    content = engines.color.read_bytes()
    (tmp_path / "model.engine").write_bytes(content)
    files = {"../model.engine": hashlib.sha256(content).hexdigest()}
    changes = (("engine", "../model.engine"), ("files", files))
    folder = PackedNetwork(engines.color, changes=changes).unpacked(tmp_path / "folder")
    assert refused(folder) == (NO_BUNDLE, "the manifest's engine is not below its folder")


def test_json_is_read_as_python_reads_it(engines: Engines, tmp_path: Path) -> None:
    folder = PackedNetwork(engines.color).unpacked(tmp_path)
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    sound = [
        text.replace('"tiny"', '"\\u0074iny"').replace('"model"', '"m\\u006fdel"'),
        text.replace("\n", "\r\n\t "),
        text.replace('"release": 0', '"release": -1.5E+3'),
    ]
    for one in sound:
        manifest.write_text(one)
        with EmbeddedNetwork(folder) as network:
            assert network.description.model == "tiny"
    twice = text.replace('"runner":', '"engine": "other", "runner":')
    for wrong in (
        text[:-3],
        text + "x",
        text.replace("1,", "01,", 1),
        twice,
        "[" * 40,
        "{}",
        '{"a": "\\u12"}',
        "\0",
    ):
        manifest.write_text(wrong)
        assert refused(folder)[0] == NO_BUNDLE, wrong[-80:]


def test_a_path_that_is_not_a_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing", tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null"), tmp_path):
        assert refused(path)[0] == NO_FILE


def test_an_engine_for_another_processor_is_refused(engines: Engines) -> None:
    assert refused(engines.arm)[0] == PROCESSOR


def test_the_library_is_compiled_with_the_instruction_sets_and_their_flags() -> None:
    rows = "".join(word for machine in ("x86_64", "aarch64") for word in definitions(machine))
    told = {
        name: set(re.findall(r"FLAG\((\w+)\)", flags))
        for name, flags in re.findall(r'"(\w+)", ([^}]*)', rows)
    }
    assert told == NEEDED


def test_the_library_has_the_kernels_numbers_of_arms_flags() -> None:
    source = (LIBRARY / "processor.c").read_text()
    (_, first), (_, second) = HWCAPS
    numbers = [f"FLAG_{name} = {bit.bit_length() - 1}" for name, bit in first.items()]
    numbers += [f"FLAG_{name} = 32 + {bit.bit_length() - 1}" for name, bit in second.items()]
    assert f"enum {{ {', '.join(numbers)} }};" in source


def test_the_binding_has_the_numbers_of_the_header() -> None:
    assert f"EDGEC_VERSION_MAJOR {VERSION}\n" in HEADER
    in_order = {
        "edgec_pixels": [f"EDGEC_{name}" for name in PIXELS],
        "edgec_matrix": [f"EDGEC_{name}" for name in MATRICES],
        "edgec_range": [f"EDGEC_{name}_RANGE" for name in RANGES],
        "edgec_fit_kind": [f"EDGEC_FIT_{name.upper()}" for name in FITS],
    }
    plain = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    for name, words in in_order.items():
        listed = re.search(rf"enum \{{([^}}]*)\}} {name};", plain)
        assert listed
        assert re.findall(r"EDGEC_\w+", listed[1]) == words


def test_contexts_have_limits(bundle: Path) -> None:
    with EmbeddedNetwork(bundle) as network:
        for threads, size in ((65, (10, 10)), (-1, (10, 10)), (1, (16385, 1)), (1, (-1, 1))):
            with pytest.raises(EmbeddedNetworkError, match="allowed") as error:
                network.context(threads, size)
            assert error.value.status == 1
        with network.context() as context, pytest.raises(ValueError, match=r"uint8 \(24, 20, 3\)"):
            context.run(np.zeros((24, 20, 1), np.uint8))


def test_a_bundle_with_a_long_path_is_read(engines: Engines, tmp_path: Path) -> None:
    long = "engine/" + "é" * 60 + "/" + "x" * 90 + "/model.engine"
    network = PackedNetwork(engines.color)
    content = network.files()["engine/model.engine"]
    changes = (("engine", long), ("files", {long: hashlib.sha256(content).hexdigest()}))
    files = replace(network, changes=changes).files()
    pack({long: content, "manifest.json": files["manifest.json"]}, tmp_path / "long.edgec", "tiny-host")
    EmbeddedNetwork(tmp_path / "long.edgec").close()
