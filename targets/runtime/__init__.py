"""What is copied verbatim onto a device: Python >= 3.8, NumPy, OpenCV, and nothing of ours from outside."""
