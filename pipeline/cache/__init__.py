"""The cache of a build: stages, their keys, and the store that keeps their outputs."""
