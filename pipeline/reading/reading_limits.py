"""What edgec reads at most from files that others made: bytes, values, depth, pixels, processor time.

The device's part is targets/runtime/device_limits.py, the static program's targets/runtime/native/limits.h.
docs/reliability.md has all of them as a table, which a test compares with these files.
"""

SETTINGS_BYTES = 1 << 20
"""Of a TOML file."""
TOML_DEPTH = 32
"""Parts of a key in a TOML file, or of a table's name."""
NAMES_BYTES = 4 << 20
"""Of a file of names or labels, and of the list of a stored result's files."""
LABELS_ROWS = 1 << 21
"""Of a labels.csv, which is no longer than a picture's file may be."""
LABELS_ROW = 1 << 20
"""Characters of a row of a labels.csv."""
JSON_VALUES = 1 << 20
"""Values of a JSON file, which take up to 80 bytes of memory each."""
LITERAL_CHARACTERS = 1 << 20
"""Characters of a list of classes in a network's metadata."""
LITERAL_VALUES = 100_000
"""Values of such a list that is written as Python does it: reading one takes over a kilobyte."""
STATEMENT_BYTES = 16 << 20
"""Of a bundle's SBOM or provenance statement."""
REPORT_BYTES = 32 << 20
"""Of a report, which has its pictures in it."""
REPORT_VALUES = 1 << 21
"""Values of a report; 14 for each class of a network."""
PICTURE_BYTES = 64 << 20
"""Of an encoded picture; a longer file counts as damaged."""
IDX_BYTES = 2 << 30
"""That an IDX file unpacks to."""
ARRAY_BYTES = 8 << 30
"""Of one array in a packed data set."""
UNPACKED_FREELY = 64 << 20
"""Bytes that a file of an IDX or packed data set may unpack to, beside PACKED_TIMES its size."""
BATCH_BYTES = 64 << 20
"""Of a python batch of CIFAR-10."""
PICKLE_STEPS = 1_000_000
"""Steps of a pickle: in CIFAR-10's or torch's, three or so for each name and thirty for each tensor."""
ZIP_LIST_BYTES = 16 << 20
"""Of a zip's list of members, which takes about ten times as much memory; or more, if the file is long."""
ZIP_LIST_SHARE = 4
"""The largest share of a longer zip that its list may have: one byte in this many."""
TAR_NAME_BYTES = 1 << 16
"""Of a tar's header for a long name, and of its pax headers."""
TAR_PAX_RECORDS = 64
"""Records of one of a tar's pax headers; each member may have such a header."""
TAR_LABEL_BYTES = 1 << 16
"""Of a picture's x.cls or x.json in a tar; a longer one counts as no label."""
TAR_SHARDS = 100_000
"""Tar files that a name with braces may mean."""
LOGITS_VALUES = 1 << 26
"""Recorded logits of one picture: a file with holes declares any number and takes nothing on the disk."""
MATRIX_ROWS = 4_096
"""Rows of a matrix, before its filters: four short lists multiply to millions."""
MATRIX_PATTERNS = 256
"""Patterns in the filters of a matrix, each of which is compared with each row."""
MATRIX_PATTERN = 256
"""Characters of such a pattern: one of n brackets takes time in proportion to n squared."""
WEIGHTS_LIST_BYTES = 8 << 20
"""Of the list of tensors at the front of a safetensors file; a large network has a thousandth of it."""
WEIGHTS_DIMENSIONS = 64
"""Of a tensor in that list, as in NumPy; torch takes minutes over a hundred thousand."""
WEIGHTS_MODULES = 100_000
"""Modules, parameters and plain attributes of TorchScript, each as often as it is named."""
WEIGHTS_TIMES = 16
"""Times the file that its tensors may have together: they may share what is stored, as tied weights do."""
KERAS_VALUES = 1 << 28
"""Numbers in a file of Keras, with room for an optimizer's."""
KERAS_GROUPS = 10_000
"""Groups in a file of Keras; the largest of its networks has two thousand."""
TFLITE_BYTES = 1 << 30
"""Of a file of TensorFlow Lite."""
TFLITE_PARTS = 20_000
"""Operators in it, tensors and buffers, of each so many."""
TFLITE_VALUES = 4_194_304
"""Characters and numbers of its names, shapes, grids and options together: they may share what is stored."""
PACKED_TIMES = 20
"""Times its size that a checkpoint or a file of pictures may unpack to: weights and pictures pack badly."""

ONNX_BYTES = 8 << 30
"""Of an ONNX file with its data files."""
ONNX_NODES = 10_000
"""Nodes of an ONNX graph, with the graphs inside it and its functions written out."""
ONNX_DEPTH = 50
"""Graphs inside each other; protobuf itself stops at 100 messages."""
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
