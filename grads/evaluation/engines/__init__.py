"""How models are run for evaluation: the plain path, and the fast one that is held to it."""
