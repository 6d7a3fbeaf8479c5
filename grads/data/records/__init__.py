"""Records: read from rows in the layouts of the ecosystem, and formatted as a model sees them."""
