"""Every way in is listed: to a bundle's content, and to whatever else is read from files or sent.

A new one fails here: say who writes what it reads. What others write has a bound, and a test that
attacks it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

READERS = {
    "targets/runtime/bundle/install.py",  # on devices
    "pipeline/bundle/contents.py",  # on the build machine
}
"""Who may call what reads bundles."""

UNPACKERS = {
    "pipeline/data/tar_members.py",
    "pipeline/bundle/pack.py",  # writes bundles
    "pipeline/packages/plain_tar.py",  # writes packages
    "pipeline/models/weights/content.py",  # recognises weights of an old torch, which are a tar
}
"""Who may import tarfile."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{name.name}" for name in node.names)


def importing(*wanted: str) -> set[str]:
    files = [path for top in ("pipeline", "targets", "calibration") for path in (ROOT / top).rglob("*.py")]
    return {
        path.relative_to(ROOT).as_posix()
        for path in files
        if any(f".{name}".endswith(tuple(f".{one}" for one in wanted)) for name in imports(path))
    }


def test_bundles_are_read_by_these_alone() -> None:
    assert importing("bundle.archive", "archive.opened", "archive.verify", "archive.contents") == READERS


def test_tars_are_opened_by_these_alone() -> None:
    assert importing("tarfile") == UNPACKERS


PARSERS = {
    *("json.loads", "json.load", "tomllib.loads", "tomllib.load", "csv.reader", "ast.literal_eval"),
    *("zipfile.ZipFile", "tarfile.open", "gzip.open", "gzip.GzipFile", "h5py.File", "np.load", "np.memmap"),
    *("pickle.loads", "pickle.load", "torch.load", "safetensors.torch.load_file"),
    *(
        "onnx.load",
        "onnx.load_model",
        "onnx.load_from_string",
        "cv2.imdecode",
        "cv2.imread",
        "cv2.VideoCapture",
    ),
    *("bounded_json", "pickletools.genops"),
    *("open_zip", "read_plain", "plain_chunks", "regular_file", "read_at_most"),
}
METHODS = {"validate_json", "model_validate_json", "read_bytes", "read_text"}

BY_OTHERS = {
    "pipeline/build/board_pool.py": "tests/pipeline/build/test_board_pool.py",
    "pipeline/build/given_settings.py": "tests/attacks/test_special_files.py",
    "pipeline/build/rebuild.py": "tests/pipeline/build/test_rebuild.py",
    "pipeline/build/stated_origin.py": "tests/pipeline/build/test_rebuild.py",
    "pipeline/bundle/signing.py": "tests/attacks/test_signatures.py",
    "pipeline/cache/digest.py": "tests/attacks/test_special_files.py",
    "pipeline/cache/product.py": "tests/attacks/test_special_files.py",  # also of parts, for `edgec merge`
    "pipeline/cli/describe.py": "tests/pipeline/reading/test_plain_file.py",
    "pipeline/data/cifar.py": "tests/pipeline/data/test_cifar.py",
    "pipeline/data/classes.py": "tests/attacks/test_special_files.py",
    "pipeline/data/corruptions.py": "tests/pipeline/data/test_corruptions.py",
    "pipeline/data/idx.py": "tests/attacks/test_special_files.py",
    "pipeline/data/masks.py": "tests/pipeline/data/test_masks.py",
    "pipeline/data/numbered_classes.py": "tests/pipeline/data/test_numbered_classes.py",
    "pipeline/data/open.py": "tests/attacks/test_special_files.py",
    "pipeline/data/packed.py": "tests/pipeline/data/test_packed.py",
    "pipeline/data/picture_files.py": "tests/pipeline/reading/test_plain_file.py",
    "pipeline/data/shard_labels.py": "tests/pipeline/data/test_tar_shards.py",
    "pipeline/data/tar_members.py": "tests/pipeline/data/test_tar_shards.py",
    "pipeline/data/tree.py": "tests/attacks/test_zip_files.py",
    "pipeline/difference/opened_side.py": "tests/pipeline/cli/test_diff.py",
    "pipeline/difference/tflite/flatbuffer.py": "tests/pipeline/difference/test_other_tools.py",
    "pipeline/reading/json_text.py": "tests/attacks/test_limits_of_readers.py",
    "pipeline/models/class_list.py": "tests/pipeline/models/test_class_list.py",
    "pipeline/models/foreign/description.py": "tests/fuzz/test_readers.py",
    "pipeline/models/foreign/external_data.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/foreign/logits_output.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/foreign/onnx_file.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/foreign/original.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/foreign/quantised/read_quantised.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/foreign/simplify.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/models/keras.py": "tests/pipeline/models/test_keras_files.py",
    "pipeline/models/weights/content.py": "tests/pipeline/models/weights/test_content.py",
    "pipeline/models/weights/safetensors_header.py": "tests/pipeline/models/weights/test_content.py",
    "pipeline/models/weights/torchscript.py": "tests/pipeline/models/weights/test_content.py",
    "pipeline/reading/pickle_steps.py": "tests/attacks/test_limits_of_readers.py",
    "pipeline/reading/plain_file.py": "tests/pipeline/reading/test_plain_file.py",
    "pipeline/report/record.py": "tests/attacks/test_special_files.py",  # reports, baselines and part.json
    "pipeline/stages/adopt.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/stages/bring.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/stages/own_graph.py": "tests/attacks/test_growing_graphs.py",
    "pipeline/stages/supply_chain.py": "tests/pipeline/stages/test_supply_chain.py",
    "pipeline/reading/toml_file.py": "tests/pipeline/reading/test_toml_file.py",
    "pipeline/reading/zip_file.py": "tests/attacks/test_zip_files.py",
    "targets/reach/answers.py": "tests/attacks/test_hostile_board.py",
    "targets/runtime/bundle/archive.py": "tests/attacks/test_bundles.py",
    "targets/runtime/bundle/history.py": "tests/attacks/test_exchanged.py",
    "targets/runtime/bundle/install.py": "tests/attacks/test_confirmed.py",
    "targets/runtime/bundle/keyring.py": "tests/attacks/test_keys_replaced.py",
    "targets/runtime/bundle/manifest.py": "tests/attacks/test_exchanged.py",
    "targets/runtime/bundle/regular_file.py": "tests/attacks/test_special_files.py",
    "targets/runtime/bundle/signature.py": "tests/attacks/test_signatures.py",
    "targets/runtime/classify.py": "tests/attacks/test_special_files.py",
    "targets/runtime/demo/sources/camera.py": "tests/targets/runtime/demo/test_capture.py",
    "targets/runtime/demo/sources/files.py": "tests/targets/runtime/demo/test_capture.py",
    "targets/runtime/native_runner.py": "tests/fuzz/test_readers.py",
    "targets/runtime/preprocess.py": "tests/fuzz/test_readers.py",
    "targets/tvm/bounded_read.py": "tests/attacks/test_onnx_for_the_integer_compiler.py",
}
"""Where bytes are read that somebody else wrote or sent, and the test that tries bad ones."""

OUR_OWN = {
    "pipeline/build/build_record.py": "the store, and a report whose digest it knows",
    "pipeline/difference/picture_source.py": "pictures that `read_picture` has just accepted",
    "pipeline/data/imagenet_classes.py": "a table that comes with edgec",
    "pipeline/difference/half_overflow.py": "a network that its side has just accepted",
    "pipeline/difference/checkpoint_side.py": "the export that it has just written",
    "pipeline/explanation/more_bits.py": "the network that it has just quantised",
    "pipeline/bundle/pack.py": "it writes",
    "pipeline/build/requested_unit.py": "the store",
    "pipeline/cache/owner.py": "the kernel",
    "pipeline/cache/remembered_code.py": "the store",
    "pipeline/models/foreign/tried_apart.py": "to and from a child process",
    "pipeline/readiness.py": "pins that come with edgec",
    "pipeline/report/omissions.py": "a product",
    "pipeline/report/wide_words.py": "a product",
    "pipeline/training/training_run.py": "a run of this user",
    "targets/devices.py": "a table that comes with edgec",
    "targets/peers/prepared_input.py": "a product",
    "targets/picture_steps.py": "a product",
    "targets/processor.py": "the kernel",
    "pipeline/training/free_cores.py": "the kernel",
    "targets/reach/zip_program.py": "edgec's own code",
    "calibration/observed_images.py": "a product",
    "calibration/onnx_graph.py": "a product",
    "calibration/ranges.py": "a product",
}
"""Where bytes are read that this user's edgec wrote or came with, and which."""
OWN_FOLDERS = {
    "pipeline/packages/": "products, and files of a verified bundle",
    "pipeline/stages/": "products",
    "targets/runtime/": "files of a verified version, the kernel, and what the device wrote beside them",
    "targets/tensorrt/": "products, and answers of child processes",
    "targets/tvm/": "products, and the tuner's file",
}


def reads(path: Path) -> bool:
    names = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute | ast.Name)
    ]
    methods = {node.attr for node in names if isinstance(node, ast.Attribute)}
    return bool(methods & METHODS or {ast.unparse(node) for node in names} & PARSERS)


def test_whatever_reads_is_listed_with_who_wrote_it() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for top in ("edgec", "pipeline", "targets", "calibration")
        for path in (ROOT / top).rglob("*.py")
        if reads(path)
    }
    known = BY_OTHERS.keys() | OUR_OWN.keys()
    assert {name for name in found - known if not name.startswith(tuple(OWN_FOLDERS))} == set()
    assert known - found == set(), "they read nothing any more"
    assert not BY_OTHERS.keys() & OUR_OWN.keys()


def test_what_others_write_is_attacked_by_a_test() -> None:
    assert [name for name in BY_OTHERS.values() if not (ROOT / name).is_file()] == []
