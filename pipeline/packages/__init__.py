"""Packages of a bundle for other programs, as the setting `package` lists them."""
