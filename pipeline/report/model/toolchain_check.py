"""What report.json says of one check of a toolchain."""

from typing import Literal

from pipeline.report.record import Record


class ToolchainCheck(Record):
    """What a toolchain said about the graph without the device. A note is not a fault."""

    name: str
    outcome: Literal["passed", "skipped", "noted"]
    message: str
