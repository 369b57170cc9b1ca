"""The source of a runner whose engine is a number."""

RUNNER = """
from contextlib import contextmanager

class Sum:
    def __init__(self, offset): self.offset = offset
    def infer(self, images): return images.sum() + self.offset

@contextmanager
def open_engine(engine, threads):
    yield Sum(int(engine.read_text()) + threads)
"""
