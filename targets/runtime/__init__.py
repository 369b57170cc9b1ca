"""What is copied verbatim onto a device: Python >= 3.8, NumPy and OpenCV, nothing of ours outside this package."""
