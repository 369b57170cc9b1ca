"""Runs readers under Atheris: python -m tests.fuzz.fuzz_readers SECONDS FOLDER [READER...].

Each reader has a process of its own, for so many seconds of processor time from its first input on. FOLDER
keeps the inputs. A fault, or an input that takes longer than LONGEST, ends a reader with a traceback, and the
others have their turn. Needs Atheris: python -m pip install 'atheris>=3'.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["targets.runtime", "pipeline", "tomllib", "json"]):
    from tests.fuzz.readers import CORPUS, READERS, put
    from tests.fuzz.sound_files import sound

LONGEST = 10.0
"""Seconds of processor time for one input."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(seconds: str, folder: str, *names: str) -> int:
    """Fuzz these readers, or all, one after the other. Return 1 if there was a finding."""
    failed = 0
    for name in names or READERS:
        say(f"== {name}: {seconds} s")
        log = Path(folder) / "reader.log"
        if (child := os.fork()) == 0:
            with log.open("wb") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            fuzz(name, float(seconds), Path(folder))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        lines = log.read_text(errors="replace").splitlines()
        say("\n".join(lines[-40:] if ended else [*lines[-1:], covered(lines)]))
        failed = failed or int(ended != 0)
    return failed


def covered(lines: Sequence[str]) -> str:
    """Return libFuzzer's last figures: `cov` are edges that were taken, `corp` the inputs that were kept."""
    return next((line for line in reversed(lines) if " cov: " in line), "")


def spent() -> float:
    """Return the processor time of this process and those that it has started and awaited, in seconds."""
    return sum(os.times()[:4])


def fuzz(name: str, seconds: float, folder: Path) -> None:
    """Fuzz one reader, from a file that it takes, and end the process."""
    tried, started = 0, 0.0
    found = folder / name
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        work, seeds = (Path(scratch) / one for one in ("work", "seeds"))
        work.mkdir()
        seeds.mkdir()
        put(sound(name, work), seeds / "sound")
        for before in (CORPUS / "found").glob(f"{name}*"):
            shutil.copy(before, seeds)

        def try_one(data: bytes) -> None:
            nonlocal tried
            before = spent()
            READERS[name](data, work)
            after = spent()
            assert after - before <= LONGEST, f"this input took {after - before:.1f} s of processor time"
            tried += 1
            if after - started >= seconds:
                say(f"{tried} inputs in {after - started:.1f} seconds of processor time")
                shutil.rmtree(scratch)
                os._exit(0)  # libFuzzer knows only the clock

        limits = ("-max_len=16384", "-rss_limit_mb=2048", "-timeout=300", f"-artifact_prefix={found}-")
        atheris.Setup([sys.argv[0], *limits, str(found), str(seeds)], try_one)
        started = spent()
        atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
