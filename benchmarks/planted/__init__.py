"""Faults that are planted into networks, to count how many of them `edgec diff` names."""
