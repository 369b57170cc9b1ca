"""Every benchmark can still be started: what they import from the packages moves. mypy checks their types."""

import subprocess
import sys

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
ELSEWHERE = "run_"
"""Programs that run in a peer's own environment begin so; `peers/` holds them."""


STARTED = """
import gc, importlib, os, runpy, sys
names = sys.argv[1:]
loaded = {name: importlib.import_module(name) for name in names}
mains = [name for name in names if hasattr(loaded[name], "main") and ".peers." not in name]
gc.freeze()  # a collection in a child would copy all that is loaded
for name in mains:
    child = os.fork()
    if child == 0:  # with all packages loaded, so that each takes no time
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = [name, "--help"]
        try:
            runpy.run_module(name, run_name="__main__")
        except SystemExit as end:
            os._exit(end.code or 0)  # at once: taking apart what is loaded takes a second
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
        os._exit(1)  # --help has to end it
    if os.waitpid(child, 0)[1]:
        sys.exit(f"python -m {name} --help failed")
    print(name, flush=True)
"""


def test_they_import_existing_modules_and_show_their_help() -> None:
    files = [path for path in FOLDER.rglob("*.py") if not path.name.startswith((ELSEWHERE, "__"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files)]
    assert len(names) > 15
    command = [sys.executable, "-W", "ignore", "-c", STARTED, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 15, "so many have shown their help"


def test_those_for_other_environments_are_python() -> None:
    for path in FOLDER.rglob(f"{ELSEWHERE}*.py"):
        compile(path.read_text(), str(path), "exec")
