"""Programs that time one frame after the other, for benchmarks.adapter_overhead."""
