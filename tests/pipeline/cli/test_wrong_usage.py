"""Wrong usages: each ends with the right exit code, in a few lines that say what to do."""

from pathlib import Path

import pytest

from pipeline.cli.app import run

WRONG = [
    ("biuld", 2, "No such command 'biuld'. Did you mean 'build'?"),
    ("build --modle x", 2, "No such option: --modle. Did you mean --model?"),
    ("build --target", 2, "'--target' requires an argument"),
    ("build --model", 2, "'--model' requires an argument"),
    ("build resnet18", 2, "unexpected extra argument"),
    ("build --json=yes", 2, "does not take a value"),
    ("build --model resnet2", 2, "There is no model 'resnet2'"),
    ("build --model resnet20-fashon", 2, "Did you mean 'resnet20-fashion'?"),
    ("build --model nowhere.onnx", 2, "There is no ONNX file nowhere.onnx."),
    ("build --target jetsn", 2, "Unknown target 'jetsn'. Did you mean 'jetson'?"),
    ("build --target host,rpi5", 2, "A build has one target; edgec matrix builds several."),
    ("build --recipe w8a8_asim", 2, "Unknown recipe: 'w8a8_asim'"),
    ("build --data nowhere", 2, "There is no data set nowhere"),
    ("build --checkpoint nowhere.pth", 2, "does not exist"),
    ("build --config nowhere.toml", 2, "nowhere.toml cannot be read: No such file or directory"),
    ("build --config not.toml", 2, "not.toml is"),
    ("build --config unknown.toml", 2, "modle is unknown. Did you mean 'model'?"),
    ("build --config value.toml", 2, "latency.threads is 0"),
    ("build --config table.toml", 2, "expected a table [latency]"),
    ("build --quantized nowhere.onnx", 2, "nowhere.onnx is not a file"),
    ("build --device nonsense://x", None, "nonsense"),
    ("build --on local:two", 2, "it takes local:2, tcp://host:8786 or slurm:jobs=32"),
    ("build --on local:2 --device a,b", 2, "--on cannot be combined with several devices"),
    ("validate --on local:2 --shard 1/2 -o part", 2, "--on and --shard exclude each other"),
    ("validate --shard 1/2", 2, "--shard and --part need each other"),
    ("merge", 2, "Missing argument"),
    ("unit run", 2, "Missing argument"),
    ("unit run 12 --out nowhere", 2, "matches no unit of the 0 in nowhere/store"),
    ("validate --model resnet2", 2, "There is no model 'resnet2'"),
    ("export", 2, "Missing option"),
    ("export -o", 2, "requires an argument"),
    ("export --recipe x -o model.onnx", 2, "No such option: --recipe"),
    ("calibrate --draws 1 --study", 2, "not in the range"),
    ("calibrate --quantized x", 2, "No such option: --quantized"),
    ("train --epochs many", 2, "'many' is not a valid int"),
    ("train --recipe w8a8_asym", 2, "only with --qat"),
    ("train --qat --new-head", 2, "--new-head"),
    ("train", 2, "are for calibration and evaluation only. Give pictures to train with"),
    ("train --data nowhere", 2, "There is no data set nowhere"),
    ("tune", 2, "Missing argument"),
    ("tune nowhere.onnx", 2, "nowhere.onnx"),
    ("ensemble", 2, "Missing argument"),
    ("matrix nowhere.toml", 2, "nowhere.toml cannot be read"),
    ("matrix not.toml", 2, "not.toml is"),
    ("matrix unknown.toml", 2, "modle is unknown. Did you mean 'models'?"),
    ("matrix --list --only x table.toml", 2, "models"),
    ("verify", 2, "Missing argument"),
    ("verify nowhere.edgec", 2, "nowhere.edgec cannot be read: No such file or directory"),
    ("verify folder.onnx", 2, "folder.onnx"),
    ("package nowhere.edgec deb", 2, "nowhere.edgec cannot be read: No such file or directory"),
    ("verify nowhere.edgec --key nowhere.pub", 2, "as a public key: No such file or directory."),
    ("verify nowhere.edgec --key folder.onnx", 2, "as a public key: Is a directory."),
    ("sign nowhere.edgec --key nowhere", 2, "nowhere.edgec cannot be read: No such file or directory"),
    ("keygen folder.onnx", 2, "folder.onnx already exists"),
    ("keygen release.pub", 2, "release.pub is a name for the public key"),
    ("build --model folder.onnx", 2, "folder.onnx is a folder, a pipe or a device, not an ONNX file"),
    ("build --checkpoint folder.onnx", 2, "is not a file"),
    ("build --config folder.onnx", 2, "Is a directory"),
    ("build --quantized folder.onnx", 2, "is not a file"),
    ("validate --data nowhere", 2, "There is no data set nowhere"),
    ("calibrate --data nowhere", 2, "There is no data set nowhere"),
    ("tune folder.onnx", 2, "folder.onnx cannot be read"),
    ("merge folder.onnx", 2, "folder.onnx is not a part"),
    ("explain nowhere.png --build not.toml", 2, "not.toml is not the folder of a build"),
    ("diff nowhere.onnx nowhere.onnx", 2, "There is no ONNX file nowhere.onnx"),
    ("report compare nowhere nowhere", 2, "nowhere"),
    ("model-card nowhere", 2, "cannot read the report nowhere"),
    ("sign nowhere.edgec", 2, "Missing option '--key'"),
    ("report shwo", 2, "No such command 'shwo'. Did you mean 'show'?"),
    ("report show nowhere", 2, "nowhere"),
    ("report compare", 2, "Missing argument"),
    ("baseline compare --max-drop -1", 2, "not in the range"),
    ("cache --out nowhere", 2, "There is no store at nowhere"),
    ("cache prune --days soon", 2, "'soon' is not a valid float"),
    ("cache --json verify", 2, "Give the options after the command"),
    ("devices add pi5 nonsense", None, "nonsense"),
    ("deploy nowhere.edgec", 2, "Missing option '--device'"),
    ("demo --port 99999", 2, "not in the range"),
    ("doctor nowhere.onnx", 2, "There is no ONNX file nowhere.onnx."),
    ("doctor model.pth", 2, "model.pth"),
    ("doctor --data nowhere", 2, "There is no data set nowhere"),
    ("doctor --data not.toml", 2, "not.toml is not a data set that edgec can read"),
    ("doctor --image folder.onnx", 2, "--image needs the network: edgec doctor NETWORK.onnx --image"),
    ("doctor --write", 2, "--write needs the network"),
    ("doctor --device ssh://nobody@localhost --data kept", 2, "--device checks a board, and takes no --data"),
    ("merge nowhere", 2, "nowhere is not a part: it has no part.json"),
    ("ensemble nowhere.toml nowhere.toml", 2, "nowhere.toml cannot be read"),
    ("rekey next.json --key nowhere --number 1 --trust nowhere.pub", 2, "nowhere"),
    ("build --out not.toml", 2, "Not a directory. Choose a place you may write with --out."),
    ("build --data not.toml", 2, "not.toml is not a data set that edgec can read"),
    ("build --data folder.onnx", 2, "it holds nothing. Put the pictures of each class"),
    ("explain not.toml --build nowhere", 2, "nowhere does not exist"),
    ("baseline compare --folder nowhere", 4, "Save one with `edgec baseline save --folder nowhere`"),
    ("baseline compare --folder not.toml", 2, "Give the folder of the baselines with --folder."),
    ("baseline compare --folder kept --old nowhere.edgec", 2, "nowhere.edgec cannot be read: No such file"),
    ("baseline compare --folder kept --old folder.onnx", 2, "folder.onnx cannot be read: Is a directory"),
    ("cache --out not.toml", 2, "There is no store at not.toml/store. Give the --out of a build."),
    ("cache prune --out not.toml", 2, "There is no store at not.toml/store"),
    ("unit run 12 --out not.toml", 2, "matches no unit of the 0 in not.toml/store"),
    ("demo --source nowhere.mp4", 2, "--source: nowhere.mp4 is not a camera, stream, file or folder."),
    ("demo --source folder.onnx", 2, "--source: folder.onnx holds no pictures"),
    ("installer folder.onnx", 2, "Cannot write folder.onnx: Is a directory"),
    ("installer nowhere/install.pyz", 2, "Cannot write nowhere/install.pyz: No such file or directory"),
    ("installer not.toml/install.pyz", 2, "Cannot write not.toml/install.pyz: Not a directory"),
    ("keygen not.toml/key", 2, "Cannot write not.toml"),
    ("matrix folder.onnx", 2, "folder.onnx cannot be read"),
    ("deploy nowhere.edgec --device ssh://nobody@localhost", 2, "nowhere.edgec"),
    ("deploy folder.onnx --device ssh://nobody@localhost", 2, "folder.onnx"),
]
"""A command line, its exit code (None: 1 or 2), and words of its message."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "one.json").write_text("{}")
    (tmp_path / "not.toml").write_text("model = \n")
    (tmp_path / "unknown.toml").write_text('modle = "resnet18"\n')
    (tmp_path / "value.toml").write_text("[latency]\nthreads = 0\n")
    (tmp_path / "table.toml").write_text("latency = 3\n")
    return tmp_path


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=[words for words, *_ in WRONG])
def test_a_wrong_usage(
    words: str, code: int | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run(words.split())
    error = capsys.readouterr().err
    assert said in error
    assert ended in ((1, 2) if code is None else (code,)), error
    last = error[error.rindex("edgec: ") :]
    assert len(last.splitlines()) <= 3
    assert "Traceback" not in error
    assert not list(folder.glob("**/*.edgec"))


def test_a_key_needs_no_ending(folder: Path) -> None:
    assert run(["keygen", "release"]) == 0
    assert (folder / "release").is_file()
    assert (folder / "release.pub").is_file()


def test_a_key_makes_no_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new folder might let others read the private key."""
    assert run(["keygen", "nowhere/release"]) == 2
    assert "Choose a place you may write" in capsys.readouterr().err
    assert not (folder / "nowhere").exists()


def test_there_are_at_least_forty() -> None:
    assert len(WRONG) >= 40
