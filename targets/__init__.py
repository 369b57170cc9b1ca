"""One package a toolchain, the devices, and what runs on them. May import calibration, never pipeline."""
