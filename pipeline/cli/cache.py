"""edgec cache: shows, verifies and prunes the store of finished stages."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cache.keeping import DAYS, LIMIT_GIB
from pipeline.cli import options
from pipeline.cli.console import print_table, say, say_json
from pipeline.errors import UsageError

app = typer.Typer(invoke_without_command=True)
Days = Annotated[
    float, typer.Option("--days", help="Remove entries that no build has used for this many days.")
]
Limit = Annotated[
    float, typer.Option("--limit", help="Limit in GiB; the least recently used entries are removed first.")
]


@app.callback()
def cache(context: typer.Context, out: options.Out = None, as_json: options.Json = False) -> None:
    """Show what builds have stored, by build; verify it; prune it.

    Example: edgec cache --out out
    """
    if context.invoked_subcommand is not None:
        if out is not None or as_json:
            raise UsageError(
                f"Give the options after the command: edgec cache {context.invoked_subcommand} ..."
            )
        return
    import time

    from pipeline.cache import upkeep

    root = _root(out)
    found, now = upkeep.entries(root), time.time()
    total = sum(entry.size for entry in found)
    rows = [
        (
            name,
            len(used),
            sum(each.size for each in used),
            min(now - each.used for each in used) / upkeep.DAY_S,
        )
        for name, used in upkeep.by_build(root).items()
        if used
    ]
    if as_json:
        builds = [dict(zip(("build", "products", "bytes", "days_unused"), row, strict=True)) for row in rows]
        say_json(json.dumps({"store": str(root), "bytes": total, "products": len(found), "builds": builds}))
        return
    cells = [
        (name, str(products), f"{size / 2**20:.1f}", f"{days:.1f}") for name, products, size, days in rows
    ]
    print_table(("build", "products", "MiB", "days unused"), cells)
    say(f"{root}: {len(found)} products, {total / 2**20:.1f} MiB; builds may share some of them")


@app.command()
def verify(out: options.Out = None, as_json: options.Json = False) -> None:
    """Check every entry against its digests. Exit code 1 if one is damaged.

    Example: edgec cache verify
    """
    from pipeline.cache import upkeep

    root = _root(out)
    damaged = upkeep.verify(root)
    if as_json:
        say_json(json.dumps([{"folder": str(one.folder), "reason": one.reason} for one in damaged]))
    else:
        for one in damaged:
            say(f"{one.folder}: {one.reason}")
        say(f"{root}: {len(damaged)} of {len(upkeep.entries(root))} products are damaged")
    if damaged:
        raise typer.Exit(1)


@app.command()
def prune(
    days: Days = DAYS,
    limit: Limit = LIMIT_GIB,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Remove old entries, and then the least recently used down to a limit. Refused during a build.

    Example: edgec cache prune --days 7 --limit 5
    """
    if not (days >= 0 and limit >= 0):
        raise UsageError("--days and --limit have to be 0 or more.")
    from pipeline.cache import upkeep

    root = _root(out)
    removed = upkeep.prune(root, days, int(min(limit, 2**30) * upkeep.GIB))
    freed = sum(entry.size for entry in removed)
    if as_json:
        say_json(json.dumps({"removed": [entry.name for entry in removed], "bytes": freed}))
    else:
        say(f"{root}: {len(removed)} products removed, {freed / 2**20:.1f} MiB")


def _root(out: Path | None) -> Path:
    return (out or Path("out")) / "store"
