"""What a device does over minutes: its latency as it warms up, its energy, and its power modes."""
