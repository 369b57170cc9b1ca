"""Quantisation recipes. A name decodes: `w8a8_asym_mse_bc` is the scheme, then the observer, then corrections."""
