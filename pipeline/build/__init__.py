"""A build from what was asked to what is published: requests, rules, the plan, and builds of several."""
