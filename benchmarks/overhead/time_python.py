"""The same by the binding in Python: python -m benchmarks.overhead.time_python BUNDLE

Each frame is made anew, as of arrays that a camera's library gives. TIMED_RUN names timed_run.c as a library,
for the time of edgec_run_frame alone.
"""

import argparse
import os
import sys
import time
from ctypes import CDLL, c_longlong, c_void_p, cast
from mmap import mmap
from pathlib import Path

import numpy as np

from targets.runtime.embedded_frame import EmbeddedFrame
from targets.runtime.embedded_network import EmbeddedContext, EmbeddedNetwork, library
from tests.targets.runtime.libedgec.camera_scenes import Scene


def own_time() -> c_longlong:
    """Return where timed_run.c tells the nanoseconds of the last run; 0 stays there if nobody asks."""
    path = os.environ.get("EDGEC_OWN_TIME")
    if path is None:
        return c_longlong()
    with Path(path).open("r+b") as file:
        return c_longlong.from_buffer(mmap(file.fileno(), 16))


def put_clocks_around(context: EmbeddedContext) -> None:
    """Let the context call timed_run.c, which calls the library."""
    timed, real = CDLL(os.environ["TIMED_RUN"]), library().edgec_run_frame
    c_void_p.in_dll(timed, "edgec_timed").value = cast(real, c_void_p).value
    context._run_frame = timed["__wrap_edgec_run_frame"]
    context._run_frame.argtypes = real.argtypes


def main() -> None:
    """Take as many frames as standard input says, and tell their times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="a bundle or an engine for this machine")
    arguments = parser.parse_args()
    own = own_time()
    given = Scene("NV12", "BT709", True, 720, 1280).frame(np.random.default_rng(0))
    with EmbeddedNetwork(arguments.bundle) as network, network.context() as context:
        if "TIMED_RUN" in os.environ:
            put_clocks_around(context)
        for line in sys.stdin:
            told = []
            for _ in range(int(line)):
                begin = time.perf_counter_ns()
                context.run_frame(EmbeddedFrame(given.pixels, given.planes, given.matrix, given.range))
                told.append(f"{time.perf_counter_ns() - begin} {own.value}")
            print(" ".join(told), flush=True)


if __name__ == "__main__":
    main()
