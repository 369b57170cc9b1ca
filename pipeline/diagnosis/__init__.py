"""Finds why a network does no better than guessing, by trying usual causes on labelled images."""
