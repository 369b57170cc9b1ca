"""The pages that are written as HTML, and their templates.

No stage but the report's imports this, so that an edited template measures nothing again.
"""
