"""The file beside a Jetson's engines that says which candidate its build on the device chose."""

CHOICE = "chosen.json"
