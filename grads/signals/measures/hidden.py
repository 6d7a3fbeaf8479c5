"""`hidden`: the mean over all tokens of the LM head's inputs."""

from grads.signals.measures.contract import MeanSignal

SIGNAL = MeanSignal(name="hidden", source="mean of the last states", tolerance=0.03, states="last")
