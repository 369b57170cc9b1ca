"""Units of work, and the workers that compute them: this process, or those of a cluster."""
