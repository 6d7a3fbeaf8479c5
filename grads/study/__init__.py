"""What is asked: the config model, the grid of cells, their paths and code versions. Imports nothing heavy."""
