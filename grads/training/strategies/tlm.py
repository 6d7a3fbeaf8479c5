"""`tlm`: test-time learning, the model adapts to the prompts of the test set, without their answers (TLM).

Nothing of the domain's training records is learnt: the arm's method is `full`, whose records are put aside. Each prompt
of the test set is trained on as text, to predict its own tokens. CE is the mean loss over a prompt's tokens, its first
one excepted; prompts with CE of at most `threshold` have no weight, the others weigh scale exp(CE - threshold), as a
constant, so that what the model finds surprising counts more.

Certain: the loss on the input alone, the choice of inputs by their perplexity and the weight, threshold 3 and scale
0.1, LoRA, and one epoch, as in the authors' code. CE is that of the model before it adapts (`offline`) or as it is at
that step (`online`).

Ours: training settings are the study's, and a step's mean is over all predictions of its prompts, where the authors'
steps have one prompt, and prompts without weight are no part of any mean. A chat template's own tokens are part of a
prompt. Prompts of more than `training.max_length` tokens are left out and counted. Where no prompt is above the
threshold the run changes nothing, which is an error.

**It is never ranked with others.** It sees what it is tested on, though not what is right; tables mark such arms, give
them no place, and refuse claims about them. Its answers on other domains, and on general benchmarks, are honest: it has
seen none of these. What it may read of the test set is a type that has no answers (`grads.data.records.prompts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from grads.training.strategies.contract import Batch, Inputs, Needs, Parameters, Prepared, Reference, Strategy

if TYPE_CHECKING:
    from torch import Tensor

    from grads.data.records.formatting import Example


class Tlm(Parameters):
    """Parameters of `tlm`; the defaults are those of the authors' code."""

    mode: Literal["offline", "online"] = Field(
        "offline", description="Whose loss on a prompt counts: the untuned model's, or that of the model at that step."
    )
    threshold: float = Field(3.0, ge=0, description="Prompts of no higher mean loss, in nats, have no weight.")
    scale: float = Field(0.1, gt=0, description="The weight of a prompt just above the threshold.")


def needs(parameters: Tlm) -> Needs:
    """Return the need of the test set's prompts, and of the untuned model's logits where its loss counts."""
    return Needs(test_prompts=True, base_logits=parameters.mode == "offline")


def prepare(examples: Mapping[str, Example], inputs: Inputs, _parameters: Tlm) -> Prepared:
    """Put the prompts in the place of the records; all of a prompt's tokens but the first carry loss."""
    from grads.data.records.formatting import Example as Made

    prompts = {one.id: Made(one.id, list(one.input_ids), 1) for one in inputs.test_prompts if len(one.input_ids) > 1}
    return Prepared(prompts, notes={"test_prompts": len(prompts), "records_put_aside": len(examples)})


def loss(batch: Batch, reference: Reference, parameters: Tlm) -> Tensor:
    """Return each token's negative log-likelihood by the weight of its prompt."""
    nll = batch.nll
    if parameters.mode == "offline":
        base = reference.logits(batch).log_softmax(dim=-1)
        judged = -base.gather(1, batch.labels.unsqueeze(1)).squeeze(1)
    else:
        judged = nll.detach()
    return weights(judged, batch.records, parameters) * nll


def weights(losses: Tensor, records: Tensor, parameters: Tlm) -> Tensor:
    """Return the weight of the record of each of P predictions, by the mean of its P' losses."""
    import torch

    _, record = records.unique(return_inverse=True)
    count = record.bincount()
    mean = torch.zeros(len(count), dtype=losses.dtype, device=losses.device).index_add(0, record, losses) / count
    above = mean > parameters.threshold
    return (above * parameters.scale * (mean - parameters.threshold).exp())[record]


STRATEGY = Strategy(
    name="tlm",
    title="Test-Time Learning (TLM)",
    source="arXiv 2505.20633; code Fhujinwu/TLM @0ff4db9",
    parameters=Tlm,
    needs=needs,
    prepare=prepare,
    loss=loss,
)
