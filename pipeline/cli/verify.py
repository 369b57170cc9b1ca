"""edgec verify: is a bundle what was built?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.archive import verify as verify_bundle
from pipeline.cli import options
from pipeline.cli.console import make_progress
from pipeline.errors import listed
from pipeline.rebuild import Rebuilt
from pipeline.rebuild import rebuild as rebuild_bundle


def verify(
    bundle: Annotated[Path, typer.Argument(help="The .edgec file.")],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Also build it again from nothing, and compare the bytes.")
    ] = False,
    data: options.Data = None,
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
) -> None:
    """Check every file of a bundle against its manifest, without unpacking or running anything.

    With --rebuild the same inputs, tools and machine must give the same bytes again; the settings are in the
    bundle, --data and --checkpoint say where the inputs lie now. Exit code 1 if anything differs.

    Example: edgec verify out/resnet20-fashion-host.edgec --rebuild
    """
    manifest = verify_bundle(bundle)
    again = rebuild_bundle(bundle, data, checkpoint, make_progress(as_json)) if rebuild else None
    if as_json:
        found = {"model": manifest.model, "target": manifest.target, "files": manifest.files}
        typer.echo(json.dumps({**found, "rebuilt": again and asdict(again)}))
    else:
        what = f"{manifest.model} for {manifest.target}"
        typer.echo(f"{bundle}: {what}, {len(manifest.files)} files as in the manifest")
        if again:
            typer.echo(f"{bundle}: {_outcome(again)}")
    if again and again.different:
        raise typer.Exit(1)


def _outcome(again: Rebuilt) -> str:
    if again.same_bytes:
        return "built again from nothing: the same bytes"
    if not again.different:
        return "built again from nothing: the same files, packed or signed otherwise"
    reasons = "; ".join(again.reasons) or "inputs, tools and machine are those of the first build"
    return f"built again from nothing: other bytes in {listed(again.different)} ({reasons})"
