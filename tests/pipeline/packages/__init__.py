"""Tests of what bundles are written as for programs of others."""
