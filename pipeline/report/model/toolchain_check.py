"""What report.json says of one check of a toolchain."""

from typing import Literal

from pipeline.report.record import Record


class ToolchainCheck(Record):
    """What a toolchain said about the graph without the device. What is noted is no fault here."""

    name: str
    outcome: Literal["passed", "skipped", "noted"]
    message: str
