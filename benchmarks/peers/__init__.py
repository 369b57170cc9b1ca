"""Other engines, each run in a virtual environment of its own, and what they are given."""
