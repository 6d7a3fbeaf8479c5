"""Domain metrics: one file each, found by the registry and computed from stored predictions alone."""
