"""Building: the request and its rules, the stages in order, publishing, and builds for several devices."""
