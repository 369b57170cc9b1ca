"""Golden vectors of preprocessing: small pictures, and the sha256 of what each becomes."""
