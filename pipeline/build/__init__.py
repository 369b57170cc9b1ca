"""Building: the request and its rules, the plan of stages, publishing, and builds for several devices."""
