"""The networks edgec knows, and the files their weights come from."""
