"""Runs one reader under Atheris: python -m tests.fuzz.fuzz_reader READER [libFuzzer's options] [CORPUS...].

Needs Atheris: python -m pip install 'atheris>=3'. A fault ends it with its traceback and keeps the input.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["targets.runtime", "pipeline", "tomllib", "json"]):
    from tests.fuzz.readers import READERS, put
    from tests.fuzz.sound_files import sound


def main(name: str, *options: str) -> None:
    """Fuzz a reader, from a file that it takes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        work, seeds = (Path(scratch) / one for one in ("work", "seeds"))
        work.mkdir()
        seeds.mkdir()
        put(sound(name, work), seeds / "sound")
        atheris.Setup([sys.argv[0], *options, str(seeds)], lambda data: READERS[name](data, work))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
