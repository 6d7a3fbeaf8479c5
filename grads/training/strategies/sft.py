"""`sft`: supervised fine-tuning as it is, the mean loss over all response tokens of a step. The default."""

from grads.training.strategies.contract import Strategy

STRATEGY = Strategy(name="sft", title="Supervised fine-tuning", source="control")
