"""What a device reads at most from files that others made.

The C programs have theirs in native/limits.h. docs/reliability.md has all of them as a table.
"""

BUNDLE_FILES = 1000
"""Files of a bundle."""
BUNDLE_FILE_BYTES = 1 << 30
"""Of one file of a bundle, unpacked."""
BUNDLE_BYTES = 4 << 30
"""Of all files of a bundle, unpacked."""
ENGINE_TEXT_BYTES = 1 << 20
"""Of what an engine says about itself; that of a large network has a hundredth of it."""
TEXT_BYTES = 2 << 20
"""Of a manifest or a signature, which take about twenty times their size in memory."""
KEY_BYTES = 1 << 16
"""Of a key, or a statement about keys."""
BUNDLE_PACKED_TIMES = 100
"""Times its size that a bundle may unpack to, beside BUNDLE_UNPACKED_FREELY."""
BUNDLE_UNPACKED_FREELY = 64 << 20
"""Bytes that a bundle may unpack to, however small it is."""
SYSTEM_FILE_BYTES = 4 << 20
"""Of a file of the system, or of a record of who uses a board; a longer one counts as not there."""
PATH_BYTES = 4096
"""Of the path of a file in a bundle."""
PIXELS = 8192 * 6144
"""Of a picture, before it is decoded (50 megapixels): a tiny file can declare one that fills the memory."""
DECODER_BYTES = 256 << 20
"""Of memory that a decoder may take, by a picture's format and its declared size."""
JPEG_SCANS = 100
"""Of a progressive JPEG: each goes over the whole picture, and a scan of nothing has a few bytes."""
PICTURE_PARTS = 100_000
"""Segments of a JPEG, or chunks of a PNG."""
PICTURE_FILE_BYTES = 64 << 20
"""Of the file of a picture that is classified or shown on a device."""
JPEG_BYTES = 32 << 20
"""Of a picture from a camera's program."""
