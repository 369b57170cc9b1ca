"""Architectures that people bring, in the forms that exporters write: what `network_matrix` goes through."""
