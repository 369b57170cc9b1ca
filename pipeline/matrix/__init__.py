"""Many builds from one file: models x recipes x targets x devices, with all results on one page."""
