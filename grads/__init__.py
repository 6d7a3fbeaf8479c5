"""grads: a benchmarking harness for data selection in language-model fine-tuning."""

__version__ = "0.1.0"
