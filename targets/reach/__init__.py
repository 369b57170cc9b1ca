"""Running an engine on this machine, in an emulator, or on a board over SSH."""
