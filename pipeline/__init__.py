"""From a checkpoint to a validated bundle: models, data, stages, cache, report, command line."""

import _signal  # type: ignore[import-not-found] # loaded already; Ctrl-C could come while `signal` is
import sys

if sys.argv[:1] == ["-m"] and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # `python -m pipeline` begins: see __main__

import pipeline.cache.code_at_start  # noqa: F401 - first: it looks at the sources before they are read
