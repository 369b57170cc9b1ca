"""A stage opens nothing of the user's but its inputs: seen by Python's audit hook, in a process of its own.

The hook sees what Python opens, also in C modules that go through it. It does not see what onnxruntime opens
in C++: that are model files, whose data files `external_files` has named before.
"""

import json
import subprocess
import sys
from pathlib import Path

from pipeline.cache.own_code import ROOT

PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.damage import make_input
from pipeline.build.plan import Build
from pipeline.cache.digest import InputFile
from pipeline.cache.store import Store
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent

work = Path(sys.argv[1])
make_input(work)
running, seen = [], []
def hook(event, arguments):
    if event == "open" and running and isinstance(arguments[0], str):
        path = Path(arguments[0]).absolute()
        if path.is_relative_to(work) and not path.is_relative_to(work / "out"):
            seen.append((running[-1], path.relative_to(work).as_posix()))
sys.addaudithook(hook)
run = Store._run
def noted(self, stage, *rest):
    files = [f for f in stage.inputs() if isinstance(f, InputFile)]
    names = {str(p.path.relative_to(work)) for f in files for p in (f, *f.parts)}
    running.append([stage.name, sorted(names)])
    try:
        return run(self, stage, *rest)
    finally:
        running.pop()
Store._run = noted
options = {"model": str(work / "net.onnx"), "data": work / "data", "target": "reference", "out": work / "out",
           "calibration.images": 8}
build = Build(load_config(BuildConfig, None, options), Silent())
build.bundle
inputs = [build.checkpoint, *build.checkpoint.parts]
print(json.dumps({"inputs": [f.path.relative_to(work).as_posix() for f in inputs], "seen": seen}))
"""


def test_a_stage_opens_nothing_but_its_inputs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["inputs"] == ["net.onnx", "deep/more.bin", "net.data"]
    opened = [(stage, inputs, path) for (stage, inputs), path in told["seen"]]
    assert {path for _, _, path in opened} >= set(told["inputs"]), "the hook sees them"
    outside = [(stage, path) for stage, inputs, path in opened if path not in inputs]
    assert [(stage, path) for stage, path in outside if not path.endswith(".png")] == []
