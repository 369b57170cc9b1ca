"""Everything that is copied to a device: needs Python 3.8, NumPy and OpenCV, and no other code of ours."""
