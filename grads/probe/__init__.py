"""Signals: what a forward or backward pass measures of each training record."""
