"""Controls: the methods whose arms others are compared with, and the arm that each control is the control of."""

from grads.config.study import Study

CONTROLS = ("full", "random", "random_length", "full_steps")
"""Full data, a random subset of equal size, one of equal lengths, and fresh random records for as many steps."""
AT_TEST_TIME = ("tlm",)
"""Strategies that learn from the prompts of the test set: their arms are marked, and never ranked with others."""
TEST_PROMPTS = "test_prompts"
"""What such a run notes, and the long table has of it: of how many prompts."""
REFERENCE = "grads"
"""The arm that a control refers to where its parameters name none, as the methods' own files say."""


def reference(study: Study, control: str) -> str:
    """Return the arm that a control refers to: whose lengths it has, or whose number of records at the ratio `auto`."""
    return str(study.arms[control].parameters.get("reference", REFERENCE))
