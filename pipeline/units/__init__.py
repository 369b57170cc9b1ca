"""Units of work that any machine may do, and those who do them: this process, or the workers of a cluster."""
