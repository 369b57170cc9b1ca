"""Bundles on the build machine: packing, signing, reading, and deploying to devices."""
