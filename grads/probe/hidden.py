"""Content embeddings: the mean of an example's last hidden states."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from grads.data.batches import token_budget_batches
from grads.data.formatting import Example
from grads.models.causal import hidden_states, pad_right, unwrap
from grads.probe.gradients import frozen
from grads.runtime.progress import Progress


def mean_hidden_states(
    model: nn.Module,
    examples: Sequence[Example],
    token_budget: int,
    padding: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return N x d float32: for each example, in order, the mean of the LM head's inputs over all its tokens.

    Prompt and response count alike; padding does not. Batches do not change the values beyond rounding.

    Args:
        model: a causal language model, with or without an adapter.
        examples: prompt and response of each record.
        token_budget: most tokens in one batch, padding included.
        padding: token id that fills the batches; it does not matter which.
        progress: told how many examples are done.
    """
    embedding = unwrap(model).get_input_embeddings().weight
    means = np.empty((len(examples), unwrap(model).config.hidden_size), dtype=np.float32)
    with frozen(model), torch.inference_mode():
        for batch in token_budget_batches([len(example.input_ids) for example in examples], token_budget):
            ids = pad_right([examples[i].input_ids for i in batch], padding).to(embedding.device)
            hidden = hidden_states(model, input_ids=ids, use_cache=False)
            for row, index in enumerate(batch):
                means[index] = hidden[row, : len(examples[index].input_ids)].float().mean(dim=0).cpu().numpy()
            if progress is not None:
                progress.advance(len(batch))
    return means
