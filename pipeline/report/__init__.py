"""What a build measured, the statistics behind it, and how it is shown: terminal, HTML, JSON, CI.

Records, which are the schema of report.json and of baselines: `record`, `model`, `baseline`.
From raw counts and runs to records: `accuracy` and `pixels` with `logits`, `latency`, `robustness`, `speed`.
Statistics: `stats`, `paired`.
Judging: `gates` for one build by its `limits`, `recommend` between two engines of it, `comparison` for it and
its baseline.
Showing: `terminal` and `table`; `html`, `side_by_side` and `page` with `templates/`; `plots`, `lines` and
`thumbnails` draw; `markdown` and `junit` for CI; `figures` and `mixed` put figures into words for all.
Other questions than one build's: `ensemble`, `study`.
"""
