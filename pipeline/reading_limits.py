"""What edgec reads at most from files that others made: bytes, values, depth, pixels, processor time.

The device's part is targets/runtime/device_limits.py, the static program's targets/runtime/native/limits.h.
docs/reliability.md has all of them as a table, which a test compares with these files.
"""

SETTINGS_BYTES = 1 << 20
"""Of a TOML file."""
TOML_DEPTH = 32
"""Parts of a key in a TOML file, or of a table's name."""
NAMES_BYTES = 16 << 20
"""Of a file of names or labels."""
LABELS_ROWS = 1 << 21
"""Of a labels.csv, which is no longer than a picture's file may be."""
LABELS_ROW = 1 << 20
"""Characters of a row of a labels.csv."""
REPORT_BYTES = 256 << 20
"""Of a report, which has its pictures in it."""
PICTURE_BYTES = 64 << 20
"""Of an encoded picture; a longer file counts as damaged."""
IDX_BYTES = 2 << 30
"""That an IDX file unpacks to."""
ARRAY_BYTES = 8 << 30
"""Of one array in a packed data set."""
BATCH_BYTES = 64 << 20
"""Of a python batch of CIFAR-10."""
ZIP_LIST_BYTES = 16 << 20
"""Of a zip's list of members, which takes about ten times as much memory; or more, if the file is long."""
ZIP_LIST_SHARE = 4
"""The largest share of a longer zip that its list may have: one byte in this many."""
WEIGHTS_LIST_BYTES = 8 << 20
"""Of the list of tensors at the front of a safetensors file; a large network has a thousandth of it."""
PACKED_TIMES = 20
"""Times its size that a checkpoint may unpack to; torch itself does not pack, and weights pack badly."""

ONNX_BYTES = 8 << 30
"""Of an ONNX file with its data files."""
ONNX_NODES = 10_000
"""Nodes of an ONNX graph, with the graphs inside it and its functions written out."""
INPUT_PIXELS = 1 << 24
"""Of the pictures that a network takes."""
CONSTANT_VALUES = 1 << 23
"""Values that a graph computes from its constants, beside eight times those that it stores."""
TENSOR_VALUES = 1 << 22
"""Values of one tensor, beside TENSOR_VALUES_FOR_EACH for each value of a picture."""
TENSOR_VALUES_FOR_EACH = 512
ONNX_SECONDS = 5
"""Of processor time to try a graph whose sizes its values decide, and one more for every 8 MiB."""
ONNX_MEMORY = 192 << 20
"""Bytes for that, beside the libraries, 16 times the file, and a kilobyte for each value of a picture."""
