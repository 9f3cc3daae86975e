"""Export: files that adapt to new tasks without this library."""
