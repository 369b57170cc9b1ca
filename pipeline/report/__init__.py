"""What a build measured, the statistics behind it, and how it is shown: terminal, HTML, JSON, CI."""
