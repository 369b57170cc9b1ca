"""The console script `edgec`."""

import sys

from edgec.origin import refuse_packages_from_elsewhere


def main() -> None:
    """Run the program, unless other packages lie in the place of edgec's own."""
    try:
        refuse_packages_from_elsewhere()
    except ImportError as error:
        sys.exit(f"edgec: {error}")
    from pipeline.__main__ import main as run

    run()
