"""Selection methods, one file each, their registry and the budget rule. They read signals, never a model."""
