"""`sft`: supervised fine-tuning as it is, the mean loss over all response tokens of a step. The default."""

from grads.training.strategies.contract import Strategy

STRATEGY = Strategy("sft", "Supervised fine-tuning", "control")
