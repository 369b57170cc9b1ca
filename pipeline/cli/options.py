"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(help="A known model, see `edgec models`, or an .onnx file. Default: resnet20-fashion."),
]
Target = Annotated[
    str | None,
    typer.Option(help="What to compile for; see `edgec targets`. Default: host, this CPU."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Images: a folder <split>/<class>/*.jpg, a folder or .zip with labels.csv, CIFAR-10, idx."
    ),
]
Labels = Annotated[str | None, typer.Option(help="Column of labels.csv that holds the class.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Weights: .safetensors, .pt or .pth.")]
Weights = Annotated[
    str | None,
    typer.Option(help="Which weights, if the checkpoint has several: ema, raw, or their key in the file."),
]
Config = Annotated[Path | None, typer.Option(help="A TOML file; options given here take precedence.")]
Device = Annotated[
    str | None,
    typer.Option(
        help="Device of the target: ssh://user@host, or a name from `edgec devices`. Default: none."
    ),
]
Out = Annotated[Path | None, typer.Option(help="Folder for results and cache. Default: out.")]
Recipe = Annotated[
    str | None,
    typer.Option(help="Quantisation recipe; see `edgec recipes`. Default: the target's."),
]
Quantized = Annotated[
    Path | None, typer.Option(help="A Q/DQ ONNX to compile unchanged, such as one from edgec train --qat.")
]
Peer = Annotated[
    bool | None,
    typer.Option("--peer/--no-peer", help="Also time onnxruntime's own static INT8. Default: yes."),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Workers: local:2 processes, tcp://host:8786 or slurm:jobs=32. Default: this process alone.",
    ),
]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML, for a CI server.")]
Markdown = Annotated[Path | None, typer.Option(help="Write a summary for a pull request.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and no progress.")]
