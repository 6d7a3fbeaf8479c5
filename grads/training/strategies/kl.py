"""`kl`: supervised fine-tuning with a penalty on predictions that move away from the base model's.

To the negative log-likelihood of each response token is added `coefficient` times KL(base || tuned), the sum over the
vocabulary of p log(p / q), where p is the base model's prediction for that token and q that of the trained model, both
after the record's own tokens. Up to a factor it is training on a mixture of the answer and the base model's prediction:
the gradient on the logits is (1 + coefficient) q - answer - coefficient p.

Certain: the form is that of Learning without Forgetting (arXiv 1606.09282), where the original model's outputs on the
new task's data are soft targets. They are the first argument, so that what the base model finds likely has to stay
likely; KL(tuned || base) would forbid what it finds unlikely, which is what is to be learnt. "RL's Razor" (arXiv
2509.04259) reports that the KL from base to tuned model, on the new task's data, predicts forgetting.

Ours: the coefficient; the base model's probabilities as they are, where distillation softens them by a temperature; and
the positions, all those of the responses of the records that are trained on. The direction is that of the token KL that
reports show on general text. The base model is the untuned one, also under `start: warm`. A step's loss, and so the
curve in `training.json`, includes the penalty, and is not comparable with that of another strategy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grads.training.strategies.contract import Batch, Needs, Parameters, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor


class Kl(Parameters):
    """Parameters of `kl`."""

    coefficient: float = Field(1.0, ge=0, description="What a nat of the penalty counts against a nat of the loss.")


def needs(_parameters: Kl) -> Needs:
    """Return the need of the base model's logits."""
    return Needs(base_logits=True)


def loss(batch: Batch, reference: Reference, parameters: Kl) -> Tensor:
    """Return each token's negative log-likelihood and penalty."""
    from torch.nn import functional

    base = reference.logits(batch).log_softmax(dim=-1)
    penalties = functional.kl_div(batch.log_probabilities, base, reduction="none", log_target=True).sum(dim=-1)
    return batch.nll + parameters.coefficient * penalties


STRATEGY = Strategy(
    name="kl",
    title="KL penalty to the base model",
    source="arXiv 1606.09282, its direction",
    parameters=Kl,
    needs=needs,
    loss=loss,
)
