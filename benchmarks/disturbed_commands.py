"""Disturbs whole commands at random moments: `edgec build`, and `edgec deploy` to a real SSH server.

    python -m benchmarks.disturbed_commands [--builds 100] [--deploys 60] [--seed 1] [--json disturbed.json]

A command is killed (alone, or with all that it started), stopped while a second one starts, started twice at
once, given a clock of the day that jumps by years, or a disk that is full, at either end (this needs root,
for small file systems); a deploy's connection is cut. A breach of these ends the program:

- no command ends in a traceback; one that is only stopped, doubled or dated wrong succeeds;
- building: the build that follows ends in the bytes of one that was never disturbed, and its bundle verifies;
- deploying: `current` leads to a whole version, the old or the new one, and deploying again succeeds.

Each build that is killed is one of --builds; a build is killed up to four times before it may finish.
"""

import argparse
import importlib
import json
import random
import sys
import tempfile
from pathlib import Path

from benchmarks.disturbed.disturbed_builds import Builds
from benchmarks.disturbed.disturbed_deploys import disturbed_deploys
from benchmarks.disturbed.started_commands import Place
from tests.forked_program import LOADED


def main() -> None:
    """Run them and print what was disturbed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--builds", type=int, default=100)
    parser.add_argument("--deploys", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    draw = random.Random(options.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory(prefix="edgec-disturbed-") as scratch:
        place = Place(Path(scratch))
        builds = Builds(place, draw)
        builds.run(options.builds)
        found = {"builds killed": builds.killed, "builds disturbed": dict(builds.others)}
        if options.deploys:
            found["deploys disturbed"] = dict(disturbed_deploys(builds, options.deploys))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
