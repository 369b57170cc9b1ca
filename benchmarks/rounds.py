"""The command line of benchmarks that repeat a random trial."""

import argparse
import signal
import sys


def rounds_and_seed(description: str | None, rounds: int = 100) -> tuple[int, int]:
    """Read --rounds and --seed; `rounds` is the default. SIGTERM then ends the program as Ctrl-C does.

    So all that runs is ended on the way. Exits with code 2 for a number that is none.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds is 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    return chosen.rounds, chosen.seed
