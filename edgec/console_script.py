"""The console script `edgec`."""

import _signal  # type: ignore[import-not-found] # loaded already; Ctrl-C could come while `signal` is
import sys

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until all is loaded: see pipeline/__main__.py

from edgec.origin import refuse_packages_from_elsewhere


def main() -> None:
    """Run the program, unless other packages lie in the place of edgec's own."""
    try:
        refuse_packages_from_elsewhere()
    except ImportError as error:
        sys.exit(f"edgec: {error}")
    from pipeline.__main__ import main as run

    run()
