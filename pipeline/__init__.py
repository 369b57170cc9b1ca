"""From a checkpoint to a validated bundle: models, data, stages, cache, report, command line."""
