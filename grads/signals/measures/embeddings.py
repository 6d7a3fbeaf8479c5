"""`embeddings`: the mean over all tokens of what the input embedding returns."""

from grads.signals.measures.contract import MeanSignal

SIGNAL = MeanSignal(name="embeddings", source="mean of the input embeddings", tolerance=0.005, states="embeddings")
