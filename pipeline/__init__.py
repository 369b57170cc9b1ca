"""From a checkpoint to a validated bundle: models, data, stages, cache, report, command line."""

import pipeline.cache.code_at_start  # noqa: F401 - first: it looks at the sources before they are read
