"""Kinds of sources of records: one file a kind, which declares `SOURCE`, and nothing else."""
