"""Runs quantised graphs in onnxruntime with settings that were tested to be exact on this processor.

`calibration/exact` is a link to this folder: the code that ships to devices imports nothing of ours, and
`calibration` imports nothing above it, so the one definition has two names.
"""
