"""Kinds of sources of models: one file a kind, which declares `SOURCE`, and nothing else."""
