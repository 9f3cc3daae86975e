"""The command line: the flags of each subcommand, the registry, presets, and what they build."""
