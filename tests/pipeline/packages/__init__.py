"""Tests of packages of bundles for other programs."""
