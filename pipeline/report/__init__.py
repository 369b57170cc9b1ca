"""The measurements of a build, their statistics, and their forms: terminal, HTML, JSON, CI.

Records, which are the schema of report.json and of baselines: `record`, `model`, `baseline`.
From raw counts and runs to records: `image_tally` and `pixel_tally` with `logit_distance`,
`from_measurement`, `corruption_loss`, `speed`.
Statistics: `stats`, `paired`.
Judging: `gates` for one build by its `limits`, `recommend` between two engines of it, `comparison` for it and
its baseline.
Showing: `sections` in every form of a report; `terminal` with `table`; `pages` for HTML; `markdown` and
`junit` for CI. `plots`, `lines` and `thumbnails` draw; `figures`, `paired_words` and `mixed_words` put
figures into words.

Stages that measure import only records and tallies, so that an edit of how a figure is shown repeats no
measurement.
"""
