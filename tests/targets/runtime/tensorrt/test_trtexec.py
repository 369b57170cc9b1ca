"""Building by trtexec, with a double that takes only the options of each genuine version.

Which version has which option is from samples/common/sampleOptions.cpp of NVIDIA's TensorRT at its tags
8.5.3, 8.6.1, 10.3 and 11.0; so are the banner and the form of errors.
"""

import json
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from targets.runtime.tensorrt import device_build, device_engines, trtexec
from targets.runtime.tensorrt.build import BuildOptions
from targets.runtime.tensorrt.candidate import candidate_named
from targets.runtime.tensorrt.engine import EngineProblem
from targets.runtime.tensorrt.jetson import DeviceFacts
from tests.targets.tensorrt.candidates_on_device import change
from tests.targets.tensorrt.unpacked_bundle import write_bundle

SHAPES = {"minShapes", "optShapes", "maxShapes"}
ALWAYS = {"onnx", "saveEngine", "timingCacheFile", "memPoolSize", "profilingVerbosity", "sparsity"} | SHAPES
GENUINE = {
    8503: ALWAYS | {"buildOnly", "fp16", "int8"},
    8601: ALWAYS | {"buildOnly", "skipInference", "maxAuxStreams", "fp16", "int8"},
    100300: ALWAYS | {"skipInference", "maxAuxStreams", "stronglyTyped", "fp16", "int8"},
    110000: ALWAYS | {"skipInference", "maxAuxStreams", "stronglyTyped"},
}
VERSIONS = {8503: "8.5.3", 8601: "8.6.1", 100300: "10.3.0", 110000: "11.0.0"}
PROGRAM = """#!{python}
import json, sys
from pathlib import Path
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{number}] # " + " ".join(sys.argv))
options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
if "help" in options:
    sys.exit(0)
unknown = [name for name in options if name not in {known!r}]
for name in unknown:
    print(f"[11/23/2026-12:00:00] [E] Unknown option: --{{name}} ")
if unknown:
    sys.exit(1)
if Path({refusing!r}).exists():
    print("[11/23/2026-12:00:00] [I] Start parsing network model.")
    print("[11/23/2026-12:00:00] [E] Error[10]: Could not find any implementation for node conv1.")
    print("[11/23/2026-12:00:00] [E] Engine could not be created from network")
    print("&&&& FAILED TensorRT.trtexec [TensorRT v{number}]")
    sys.exit(1)
assert options.get("fp16", "") == "" and options["memPoolSize"].startswith("workspace:")
Path(options["saveEngine"]).write_text(json.dumps(options))
Path(options["timingCacheFile"]).write_text("timings")
print("&&&& PASSED TensorRT.trtexec [TensorRT v{number}]")
"""


def double(folder: Path, number: int) -> str:
    """Write a trtexec that refuses if the file `refuses` is beside it; returns its path."""
    program = folder / "trtexec"
    text = PROGRAM.format(
        python=sys.executable, number=number, known=GENUINE[number], refusing=str(folder / "refuses")
    )
    program.write_text(text)
    program.chmod(0o755)
    return str(program)


def model(path: Path, batch: int | str = "N") -> Path:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, 28, 32, 3])
    onnx.save(helper.make_model(helper.make_graph([], "made-up", [image], [])), path)
    return path


def build(folder: Path, number: int, precision: str, batch: int | str = "N") -> dict[str, str]:
    """What trtexec was told, as it left it in place of an engine."""
    said: list[str] = []
    plan = trtexec.build_with_trtexec(
        double(folder, number),
        VERSIONS[number],
        model(folder / "a.onnx", batch),
        candidate_named(precision, VERSIONS[number]),
        BuildOptions(512, batch=2, largest_batch=4),
        folder / "timing.cache",
        said.append,
    )
    assert said[0] == "building a.onnx with trtexec"
    told: dict[str, str] = json.loads(plan)
    return told


@pytest.mark.parametrize("number", GENUINE)
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_each_version_understands_what_it_is_told(tmp_path: Path, number: int, precision: str) -> None:
    told = build(tmp_path, number, precision)
    assert told["memPoolSize"] == "workspace:512"
    assert {told[name] for name in SHAPES} == {f"image:{batch}x28x32x3" for batch in (1, 2, 4)}
    assert told["optShapes"] == "image:2x28x32x3"
    weakly = number < 9000
    assert ("fp16" in told, "stronglyTyped" in told) == (weakly, not weakly)
    assert ("int8" in told) == (weakly and precision == "int8")
    assert ("buildOnly" in told) == (number == 8503)
    assert (tmp_path / "timing.cache").read_text() == "timings"


def test_a_graph_with_a_fixed_batch_gets_no_shapes(tmp_path: Path) -> None:
    assert not SHAPES & build(tmp_path, 100300, "int8", batch=1).keys()


@pytest.mark.parametrize("number", GENUINE)
def test_it_says_its_version(tmp_path: Path, number: int) -> None:
    assert trtexec.trtexec_version(double(tmp_path, number)) == VERSIONS[number]


def test_a_program_that_says_no_version_is_an_error() -> None:
    with pytest.raises(EngineProblem, match="/bin/true does not print the version of its TensorRT"):
        trtexec.trtexec_version("/bin/true")


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineProblem, match="does not run here: No such file"):
        trtexec.trtexec_version(str(tmp_path / "none"))


def test_a_failure_is_told_in_its_errors(tmp_path: Path) -> None:
    (tmp_path / "refuses").touch()
    with pytest.raises(EngineProblem) as error:
        build(tmp_path, 100300, "int8")
    assert str(error.value) == (
        "trtexec of TensorRT 10.3.0 cannot build a.onnx: Error[10]: Could not find any implementation for "
        "node conv1.; Engine could not be created from network"
    )
    (tmp_path / "refuses").unlink()
    assert build(tmp_path, 100300, "int8")


def test_one_that_ends_without_a_word_or_an_engine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineProblem, match=r"cannot build a\.onnx: exit code 0"):
        trtexec.build_with_trtexec(
            "/bin/true",
            "10.3.0",
            model(tmp_path / "a.onnx"),
            candidate_named("int8", "10.3.0"),
            BuildOptions(),
            tmp_path / "cache",
            lambda _: None,
        )


class TestADeviceWithoutPythonsTensorRT:
    FACTS = DeviceFacts("NVIDIA Jetson AGX Orin", "36.4.3", "6.2", "", "12.6", "87", 62841, "MAXN", "3.10")

    def test_it_builds_both_precisions_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        double(tmp_path, 100300)
        monkeypatch.setenv("PATH", str(tmp_path))
        for name in ("int8_qdq_fp16.onnx", "fp16.onnx"):
            model(tmp_path / name)
        device_engines.check(self.FACTS)
        for expected in (0, 2):
            said: list[str] = []
            keys = device_engines.make_engines(tmp_path, self.FACTS, BuildOptions(), said.append)
            assert {key.tensorrt for key in keys.values()} == {"10.3.0"}
            assert sum("built before" in line for line in said) == expected
        assert json.loads((tmp_path / "int8.plan").read_text())["onnx"].endswith("int8_qdq_fp16.onnx")

    def test_what_was_built_is_not_called_measured(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing here can run an engine: that is an exit code of its own, and what to install."""
        double(tmp_path, 100300)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(device_build, "read_facts", lambda: self.FACTS)
        (tmp_path / "bundle").mkdir()
        bundle = write_bundle(tmp_path / "bundle")
        for name in ("int8_qdq_fp16.onnx", "fp16.onnx"):
            change(bundle, bundle / "engine" / name, model(tmp_path / name).read_bytes())
        assert device_build.main(bundle, []) == 3
        assert "None was run" in capsys.readouterr().out
        assert sorted(path.name for path in bundle.rglob("*.plan")) == ["fp16.plan", "int8.plan"]
        assert not (bundle / "engine" / "chosen.json").exists()

    def test_without_trtexec_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(trtexec, "INSTALLED", "/none")
        with pytest.raises(EngineProblem, match="apt install nvidia-jetpack"):
            device_engines.check(self.FACTS)

    def test_one_that_is_too_old_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "trtexec").write_text(
            "#!/bin/sh\necho '&&&& RUNNING TensorRT.trtexec [TensorRT v8201]'\n"
        )
        (tmp_path / "trtexec").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineProblem, match=r"TensorRT 8\.2\.1 is here; 8\.5 to 11"):
            device_engines.check(self.FACTS)
