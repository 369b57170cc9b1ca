"""Many builds from one file: models x recipes x targets x devices, and what came out on one page."""
