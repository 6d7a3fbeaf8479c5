"""What follows from a config: the grid of cells, their paths, seeds and claims, code versions. All of it is light."""
