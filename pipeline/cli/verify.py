"""edgec verify: is a bundle what was built?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.archive import verify as verify_bundle
from pipeline.cli import options


def verify(
    bundle: Annotated[Path, typer.Argument(help="The .edgec file.")], as_json: options.Json = False
) -> None:
    """Check every file of a bundle against its manifest, without unpacking or running anything.

    Example: edgec verify out/resnet20-fashion-reference.edgec
    """
    manifest = verify_bundle(bundle)
    if as_json:
        typer.echo(json.dumps({"model": manifest.model, "target": manifest.target, "files": manifest.files}))
        return
    typer.echo(
        f"{bundle}: {manifest.model} for {manifest.target}, {len(manifest.files)} files as in the manifest"
    )
