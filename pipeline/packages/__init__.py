"""A bundle in the forms in which other programs take it, as the setting `package` asks."""
