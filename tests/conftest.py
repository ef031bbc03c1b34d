"""What every test has: examples from Hypothesis that are the same in each run."""

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")
