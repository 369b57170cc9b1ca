"""Bundles for a Jetson and for a CPU, of small networks, without a build."""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.bundle.pack import pack
from pipeline.packages.wheel import BINDING
from targets.runtime.bundle.manifest import EVALUATION, NAME, Manifest
from targets.runtime.compiled_libedgec import embedding
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from targets.runtime.preprocess import Preprocessing
from targets.runtime.reference_runner import open_engine
from targets.tensorrt.onnx_files import write_onnx_files
from targets.tvm.cpu_target import host_isa
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.conftest import ROOT
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network
from tests.targets.tensorrt.conftest import SHAPE, quantized

MakeBundle = Callable[..., Path]
CROP = Preprocessing(*SHAPE, fit="crop", resize=18)


@pytest.fixture(scope="session")
def jetson_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a bundle for a Jetson holds, but for its manifest."""
    folder = tmp_path_factory.mktemp("packages")
    float_model = export(TinyResNet(projection=True), folder / "model.onnx").path
    engine = folder / "engine"
    engine.mkdir()
    write_onnx_files(quantized(float_model, "w8a8_sym"), float_model, engine / "int8_qdq.onnx")
    images = pictures(6, SHAPE)
    with open_engine(engine / "int8_qdq.onnx") as int8, open_engine(float_model) as fp32:
        logits, expected = int8.infer(images), fp32.infer(images)
    photo = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    np.savez_compressed(
        folder / EVALUATION,
        images=images,
        labels=expected.argmax(axis=1),
        fp32=expected,
        int8=logits,
        picture=cv2.imencode(".png", photo)[1],
        preprocessed=CROP(np.ascontiguousarray(photo[:, :, ::-1])),
    )
    return {
        **{f"engine/{path.name}": path.read_bytes() for path in sorted(engine.iterdir())},
        EVALUATION: (folder / EVALUATION).read_bytes(),
        "run": b'#!/bin/sh\necho ran "$@" in $(basename $PWD)\n',
        "build_on_device.py": b'#!/bin/sh\necho built with "$@" >>built\n',
    }


@pytest.fixture
def make_bundle(jetson_files: dict[str, bytes], tmp_path: Path) -> MakeBundle:
    """Write a bundle with these preprocessing steps and names."""

    def make(
        steps: Preprocessing = CROP,
        classes: tuple[str, ...] = ("shirt", "boot", "bag", "a;b", "coat"),
        model: str = "tiny",
        runner: str = "tensorrt.runner",
    ) -> Path:
        files = {**jetson_files, "preprocessing.json": json.dumps(steps.as_dict()).encode()}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        manifest = Manifest(
            model=model,
            target="jetson",
            fingerprint="none",
            engine="engine/int8_qdq.onnx",
            runner=runner,
            classes=classes,
            preprocessing=steps.as_dict(),
            files=digests,
        )
        bundle = tmp_path / f"{model}-jetson.edgec"
        pack({**files, NAME: manifest.to_json().encode()}, bundle, top=f"{model}-jetson")
        return bundle

    return make


def write_cpu_bundle(network: PackedNetwork, machine: str, folder: Path) -> Path:
    """Write a bundle with libedgec and the service for a machine."""
    files = network.files()
    manifest = Manifest.parse(files.pop(NAME).decode())
    files |= embedding(machine)
    files |= {name: (ROOT / "targets" / name).read_bytes() for name in BINDING}
    files[f"bin/{SERVICE}"] = (COMPILED_SERVICE.folder(machine) / SERVICE).read_bytes()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[NAME] = replace(manifest, files=digests).to_json().encode()
    pack(files, folder / "tiny.edgec", "tiny")
    return folder / "tiny.edgec"


@pytest.fixture(scope="session")
def cpu_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small network for this processor."""
    folder = tmp_path_factory.mktemp("for a CPU")
    network = PackedNetwork(write_network(folder, or_skip(host_isa)))
    return write_cpu_bundle(network, platform.machine(), folder)
