"""Compares the digests of the default build's files before and after a change of structure, on one machine.

    python -m benchmarks.default_digests before.json    # writes the file; then, after the change, compares

The last bits of weights depend on the processor, so nothing of this is committed. What does not depend on it
is compared by tests/pipeline/test_digests.py.
"""

import argparse
import json
import tempfile
from hashlib import sha256
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent


def digests(target: str, out: Path) -> dict[str, str]:
    """Build with all defaults for `target`; return the digests of the models, the ranges and the engine."""
    build = Build(load_config(BuildConfig, None, {"target": target, "out": out}), Silent())
    artifacts = (build.float_model, build.ranges, build.int8_model, build.engine)
    return {
        f"{target} {artifact.file_name}": sha256(artifact.path.read_bytes()).hexdigest()
        for artifact in artifacts
    }


def main() -> None:
    """Write the digests, or compare them; exit code 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--targets", nargs="+", default=["host", "rpi5", "graviton3"])
    arguments = parser.parse_args()
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="edgec-digests-") as scratch:
        for target in arguments.targets:
            found |= digests(target, Path(scratch))
    if not arguments.file.exists():
        arguments.file.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} digests are in {arguments.file}; after the change, run this again")
        return
    before = json.loads(arguments.file.read_text())
    moved = [name for name in {**before, **found} if before.get(name) != found.get(name)]
    print(f"{len(found)} digests, different: {', '.join(moved) or 'none'}")
    raise SystemExit(bool(moved))


if __name__ == "__main__":
    main()
