"""What this machine takes at most from a device, which may be hostile: bytes, and seconds of the clock.

docs/reliability.md has all of them as a table, which a test compares with this file.
"""

OUTPUT_BYTES = 64 << 20
"""Of what a command on a device prints, and of its error messages."""
ANSWER_BYTES = 4 << 20
"""Of an answer in JSON, which takes about twenty times its size in memory."""
ANSWER_VALUES = 524_288
"""Of an answer in JSON: what is wrong with each of them takes memory too."""
NAME_CHARACTERS = 1000
"""Of the name of a board, its system or its version."""
COMMAND_SECONDS = 4 * 3600
"""Of a command on a device that has no shorter time: TensorRT builds for an hour on a small module."""
STREAM_SECONDS = 600
"""Until a running engine on a device has answered 16 images."""
ENDING_SECONDS = 20
"""Until a command on a device that has closed its output has ended."""
