"""Fuzzing: targets in C for libFuzzer, the same targets for a compiler without it, and readers in Python."""
