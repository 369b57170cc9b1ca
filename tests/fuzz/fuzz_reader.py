"""Runs one reader under Atheris: python -m tests.fuzz.fuzz_reader READER SECONDS [OPTIONS] [CORPUS...].

SECONDS are of processor time, from the first input on; OPTIONS are those of libFuzzer. Needs atheris 3:
pip install "atheris>=3".
A fault, or an input that takes longer than LONGEST, ends it with its traceback and keeps the input.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["targets.runtime", "pipeline", "tomllib", "json"]):
    from tests.fuzz.readers import READERS, put
    from tests.fuzz.sound_files import sound

LONGEST = 10.0
"""Seconds of processor time for one input."""


def spent() -> float:
    """Return the processor time of this process and those that it has started and awaited, in seconds."""
    return sum(os.times()[:4])


def main(name: str, seconds: str, *options: str) -> None:
    """Fuzz a reader, from a file that it takes."""
    tried, started = 0, 0.0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        work, seeds = (Path(scratch) / one for one in ("work", "seeds"))
        work.mkdir()
        seeds.mkdir()
        put(sound(name, work), seeds / "sound")

        def try_one(data: bytes) -> None:
            nonlocal tried
            before = spent()
            READERS[name](data, work)
            after = spent()
            assert after - before <= LONGEST, f"this input took {after - before:.1f} s of processor time"
            tried += 1
            if after - started >= float(seconds):
                sys.stdout.write(f"{tried} inputs in {after - started:.1f} seconds of processor time\n")
                sys.stdout.flush()
                shutil.rmtree(scratch)
                os._exit(0)  # libFuzzer knows only the clock

        atheris.Setup([sys.argv[0], *options, str(seeds)], try_one)
        started = spent()
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
