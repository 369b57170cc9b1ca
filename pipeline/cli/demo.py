"""edgec demo: classify what a camera sees, on this machine, with the code that ships to devices."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.build_options import with_build_options
from pipeline.cli.console import make_progress
from pipeline.errors import UsageError
from targets.runtime.demo.recording_limits import RecordingLimits

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

RECORDING = RecordingLimits()


@with_build_options()
def demo(
    chosen: "BuildConfig",
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="A camera (0, the default, csi), a stream (rtsp://...), a video file, or a folder of"
            " pictures. Repeat it for several cameras.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Address to serve the page on; requests to others than 127.0.0.1 need a token."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8090,
    once: Annotated[
        bool, typer.Option("--once", help="Stop at the end of a file instead of repeating it.")
    ] = False,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="No window, even if there is a screen.")
    ] = False,
    unpaced: Annotated[
        bool,
        typer.Option(
            "--unpaced", help="Read video files as fast as possible instead of at their frame rate."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per picture.")] = False,
    record_uncertain: Annotated[
        Path | None,
        typer.Option(help="Keep pictures that the network is not sure of there, to label and train again."),
    ] = None,
    uncertain_below: Annotated[
        float,
        typer.Option(
            min=0.001, max=1.0, help="Of these the likeliest class has a smaller probability than this."
        ),
    ] = RECORDING.below,
    record_pictures: Annotated[
        int, typer.Option(min=1, help="How many of them may wait to be labelled.")
    ] = RECORDING.pictures,
    record_mib: Annotated[int, typer.Option(min=1, help="How many MiB they may take.")] = RECORDING.bytes
    >> 20,
) -> None:
    """Build if needed, then classify what a camera sees, and show it on a page. Ctrl-C ends it.

    Example: edgec demo --source film.mp4
    """
    from pipeline.build.plan import Build
    from targets.runtime.demo.sources.find import find_source
    from targets.runtime.demo.sources.source import SourceError

    try:
        for text in source or ():
            find_source(text)  # a wrong one is refused before the build
    except SourceError as error:
        raise UsageError(f"--source: {error}.") from error
    one = Build(chosen, make_progress(as_json))
    if not one.target.runs_here:
        raise UsageError(
            f"{one.target.name} is not this machine. Deploy the bundle, and use `./run camera` there; or"
            " leave --target out."
        )
    from pipeline.bundle.contents import verify
    from targets.reference import ReferenceTarget
    from targets.runtime.demo import camera
    from targets.runtime.demo.recogniser import Engine

    manifest = verify(one.bundle.path).manifest
    engines = {
        "int8": Engine(one.target.runner, one.engine.path),
        "fp32": Engine(ReferenceTarget.runner, one.float_model.path),
    }
    values: dict[str, object] = {"--host": host, "--port": port, "--threads": chosen.latency.threads}
    values |= {"--uncertain-below": uncertain_below, "--record-pictures": record_pictures}
    values |= {"--record-mib": record_mib}
    if record_uncertain:
        values["--record-uncertain"] = record_uncertain
    flags = {"--once": once, "--no-window": no_window, "--unpaced": unpaced, "--json": as_json}
    words = [str(word) for option in values.items() for word in option]
    words += [f"--source={text}" for text in source or ()]
    words += [flag for flag, given in flags.items() if given]
    parsed = camera.parser("edgec demo").parse_args(words)
    gc.freeze()  # excludes the toolchain's modules from garbage collection, which took a second at the end
    raise typer.Exit(camera.run(camera.Demo(manifest, engines, {}), parsed))
