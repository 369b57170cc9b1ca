"""Getting an engine to run where it belongs: on this machine, in an emulator, on a board."""
