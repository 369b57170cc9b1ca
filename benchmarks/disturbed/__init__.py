"""What `benchmarks.disturbed_commands` does to builds and deploys."""
