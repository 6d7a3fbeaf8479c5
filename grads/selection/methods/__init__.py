"""Selection methods, one file each. They read signals, never a model."""
