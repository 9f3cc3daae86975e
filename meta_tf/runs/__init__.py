"""The command line: flags, what they build, and a run's folder."""
