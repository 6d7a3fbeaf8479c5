"""`layer_hidden`: the mean over all tokens of the output of one decoder layer, `probe.hidden_layer`."""

from grads.signals.measures.contract import MeanSignal

SIGNAL = MeanSignal(name="layer_hidden", source="mean of a lower layer's states", tolerance=0.03, states="layer")
