"""The sections of the report: a file each, with its records, its page, its terminal output and its Markdown.

`SECTIONS` in `pipeline.report.model.build_report` is their order.
"""
