"""Estimates, intervals, comparisons and verdicts over crossed items and seeds."""
