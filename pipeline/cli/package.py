"""edgec package: a bundle in the forms in which other programs take it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import say
from pipeline.cli.verify import Bundle, Keys, keys_to_trust


def package(
    bundle: Bundle,
    kind: Annotated[
        list[str],
        typer.Argument(
            help="For a CPU: deb, oci, wheel. For a Jetson: container, deepstream, triton.",
            show_default=False,
        ),
    ],
    key: Keys = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder to write into. Default: beside the bundle, by its name."
        ),
    ] = None,
) -> None:
    """Write a bundle as Debian packages, a container image, a Triton repository and more. Nothing is run.

    A build writes them too, with package = ["triton"] in its settings.

    Example: edgec package out/resnet20-fashion-jetson.edgec triton deepstream
    """
    from pipeline.packages.write import write_packages

    folder = output or bundle.with_suffix("")
    for made in write_packages(bundle, kind, folder, keys_to_trust(key), "--output"):
        say(f"{made}   see {made / 'README.md'}")
