"""Jetson targets, without a Jetson."""
