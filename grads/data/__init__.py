"""Records: sources, splits, formatting and tokenising."""
