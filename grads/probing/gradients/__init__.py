"""Gradients of single records, from one forward and one backward pass over a batch."""
