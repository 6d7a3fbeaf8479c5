"""Signals that are a formula over what one pass has: a file each, found by being there."""
