"""One pass over records: all that is asked of each, from one forward pass and, where gradients are asked for, one
backward pass of activations, many records at a time.

No parameter asks for a gradient. The gradient at the output of the input embedding, and inputs and errors of the LM
head, carry both matrices' gradients, apart even where the two share their weights; taps at the linear layers carry
those of an adapter or of the weights (`linear`). Records are padded on the right, which a causal model needs no mask
for, and their losses are summed, so that each record's activation gradients are its own: batches do not change the
values beyond rounding.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grads.config.features import Features
from grads.data.positions import following, spots
from grads.data.records.formatting import Example
from grads.models.causal import decoder_layers, frozen, hidden_states, pad_right, unwrap
from grads.models.cpu.compiled import compiled_layers
from grads.models.cpu.interface import quick_attention
from grads.models.cpu.products import product
from grads.models.flops import multiplied
from grads.models.moments import Moments
from grads.probing.gradients.checks import check_ends, check_model, embedding_scale
from grads.probing.gradients.gradient_statistics import embedding_moments, head_moments, named
from grads.probing.gradients.head import Head, groups
from grads.probing.gradients.linear import TappedLinear, tapped
from grads.probing.gradients.taps import Taps
from grads.runtime.errors import GradsError
from grads.signals.columns import columns, needs_gradients, needs_losses
from grads.signals.measured import Measured
from grads.signals.measures.contract import Places, Predictions
from grads.signals.measures.registry import mean_signals, token_signals


class Pass:
    """Measures batches of records with one model, which it makes ready once and leaves as it was.

    Args:
        model: a causal language model, with or without a PEFT adapter, which stays active as a low-rank path.
        measures: see `grads.signals.columns`.
        padding: any token id, to fill the batches.
        features: how gradients are projected.
        moments: of the preliminary epoch's optimiser, for `adam_features`.
        layer: the decoder layer, counted from 1, whose output `layer_hidden` averages; the middle one if not given.
        compiled: compile the decoder's layers first (`grads.models.cpu.compiled`); not where whole gradients are made.

    Raises:
        GradsError: the model lacks what a measure needs, or does more than is known here.
    """

    def __init__(
        self,
        model: nn.Module,
        measures: Collection[str],
        padding: int,
        features: Features | None = None,
        moments: Moments | None = None,
        layer: int | None = None,
        compiled: bool = False,
    ) -> None:
        self.model = model
        self.measures = frozenset(measures)
        self.token_signals = token_signals(self.measures)
        self.mean_signals = mean_signals(self.measures)
        self.padding = padding
        check_ends(model, padding)
        self.core: Any = unwrap(model)
        self.embedding = self.core.get_input_embeddings()
        self.scale = embedding_scale(self.embedding)
        self.head = Head.of(model)
        self.multiplied = multiplied(self.core)
        self.taps = Taps(model, measures, features or Features(), moments)
        most = len(decoder_layers(model))
        if layer is not None and layer > most:
            raise GradsError(f"probe.hidden_layer is {layer}, and the model has {most} layers: choose one of them")
        self.layer = layer or max(1, most // 2)
        self.layers: dict[str, TappedLinear] = {}
        self.compiled = compiled and not any(recipe.whole for recipe in self.taps.recipes.values())

    @contextmanager
    def ready(self, example: Example) -> Iterator["Pass"]:
        """Make the model ready: nothing in it asks for a gradient, taps are in. `example` is one to check it with."""
        with ExitStack() as stack:
            stack.enter_context(frozen(self.model))
            watched = [name for name, recipe in self.taps.recipes.items() if recipe.widths]
            check_model(self.model, self.head, watched, example.input_ids)
            stack.enter_context(quick_attention(self.core))
            self.layers = stack.enter_context(tapped(self.model, self.taps.recipes))
            if self.compiled:
                stack.enter_context(compiled_layers(self.model))
            yield self

    def measure(self, examples: Sequence[Example]) -> Measured:
        """Return what was measured of the records of one batch, in their order."""
        gradients = needs_gradients(self.measures)
        with torch.enable_grad() if gradients else torch.inference_mode():
            found = self._measure(examples, gradients)
        if "unconditional" in self.measures:
            with torch.inference_mode():
                found.columns["unconditional_nll"] = self._unconditional(examples)
        found.columns = {name: found.columns[name] for name in columns(self.measures)}
        return found

    def _measure(self, examples: Sequence[Example], gradients: bool) -> Measured:
        ids = self._ids(examples)
        leaves = self._open_taps(len(examples), ids.device)
        looked_up, middle, hidden = self._forward(self._read(ids))
        found = Measured({}, self._means(examples, looked_up, middle, hidden.detach()))
        if not needs_losses(self.measures):
            return found
        gradient = torch.zeros_like(hidden) if gradients else None
        self._head(found, examples, hidden.detach(), ids, gradient)
        if gradient is not None:
            inputs = [*([looked_up] if "gradients" in self.measures else []), *leaves.values()]
            received = list(torch.autograd.grad(hidden, inputs, gradient, allow_unused=True))
            if "gradients" in self.measures:
                self._embedding(found, examples, received.pop(0))
            self._read_taps(found, dict(zip(leaves, received, strict=True)))
        return found

    def _ids(self, examples: Sequence[Example]) -> Tensor:
        return pad_right([example.input_ids for example in examples], self.padding).to(self.embedding.weight.device)

    def _read(self, ids: Tensor) -> Tensor:
        """Return the ids that go through the model: a last token predicts nothing, so only means over all see it."""
        return ids if self.mean_signals else ids[:, :-1]

    def _open_taps(self, records: int, place: torch.device) -> dict[str, Tensor]:
        """Give every tapped layer a leaf that receives what it makes."""
        leaves = {}
        for name, layer in self.layers.items():
            if layer.recipe.widths:
                layer.tap = torch.zeros(records, sum(layer.recipe.widths), device=place, requires_grad=True)
                leaves[name] = layer.tap
        return leaves

    def _forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the embedding looked up, the chosen layer's output, and the LM head's inputs."""
        caught: dict[str, Tensor] = {}
        # Compiled layers are all given the same kind of input, or the first would be compiled apart.
        asks = "gradients" in self.measures or (self.compiled and needs_gradients(self.measures))

        def start_graph(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            caught["embedding"] = output.detach().requires_grad_(asks)
            return caught["embedding"]

        def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
            caught["layer"] = (output[0] if isinstance(output, tuple) else output).detach()

        hooks = [self.embedding.register_forward_hook(start_graph)]
        if any(signal.states == "layer" for signal in self.mean_signals):
            hooks.append(decoder_layers(self.model)[self.layer - 1].register_forward_hook(keep))
        try:
            hidden = hidden_states(self.model, input_ids=ids, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return caught["embedding"], caught.get("layer", hidden), hidden

    def _means(
        self, examples: Sequence[Example], looked_up: Tensor, middle: Tensor, hidden: Tensor
    ) -> dict[str, np.ndarray]:
        """Return the vectors that are means over all of a record's tokens, prompt and response."""
        if not self.mean_signals:
            return {}
        sources = {"embeddings": looked_up, "layer": middle, "last": hidden}
        sizes = torch.tensor([[e.prompt_tokens, len(e.input_ids)] for e in examples], device=hidden.device)
        position = torch.arange(1, hidden.shape[1] + 1, device=hidden.device).unsqueeze(0)
        places = Places(position, sizes[:, :1], sizes[:, 1:])
        inside = (position <= places.length).float()
        found = {}
        for signal in self.mean_signals:
            weights = inside if signal.weights is None else inside * signal.weights(places)
            weights = weights / weights.sum(dim=1, keepdim=True)
            states = sources[signal.states].detach().float()
            found[signal.name] = torch.bmm(weights.unsqueeze(1), states).squeeze(1).cpu().numpy()
        return found

    def _head(
        self, found: Measured, examples: Sequence[Example], hidden: Tensor, ids: Tensor, gradient: Tensor | None
    ) -> None:
        """Add what the LM head's losses and errors say; fill `gradient`, the loss gradient at `hidden`."""
        row = hidden.shape[1]
        flat = hidden.flatten(0, 1)
        targets = following(ids, row)
        where = spots(examples, row)
        if gradient is None and not any(signal.errors for signal in self.token_signals):
            losses = self._losses(flat, targets, where)
            if self.token_signals:
                wanted = targets.index_select(0, torch.cat(where).to(flat.device))
                means = self._token_means(Predictions(wanted, torch.cat(losses)), [len(loss) for loss in losses])
                found.columns |= {name: _numbers(values) for name, values in means.items()}
        else:
            losses = self._errors(found, flat, targets, where, gradient)
        found.columns["response_nll"] = _numbers([loss.mean() for loss in losses])
        if "token_losses" in self.measures:
            sizes = [len(loss) for loss in losses]
            found.token_losses = [part.numpy() for part in torch.cat(losses).cpu().split(sizes)]
        if "prompt" in self.measures:
            before = [torch.arange(e.prompt_tokens - 1) + i * row for i, e in enumerate(examples)]
            self._add_prompts(found, examples, self._losses(flat, targets, before), losses)

    def _losses(self, flat: Tensor, targets: Tensor, places: Sequence[Tensor]) -> list[Tensor]:
        """Return the losses of the tokens after each record's places in the batch, from the hidden states there."""
        where = torch.cat(list(places)).to(flat.device)
        losses = self.head.losses(flat.index_select(0, where), targets.index_select(0, where))
        return list(losses.split([len(place) for place in places]))

    def _errors(
        self, found: Measured, flat: Tensor, targets: Tensor, places: Sequence[Tensor], gradient: Tensor | None
    ) -> list[Tensor]:
        """Return the losses, after adding what needs the errors, a few records at a time; fill `gradient`."""
        losses: list[Tensor] = []
        moments = []
        means: dict[str, list[Tensor]] = {signal.column: [] for signal in self.token_signals}
        lengths = [len(place) for place in places]
        # Sent to the device at once, not group by group.
        everywhere = torch.cat(list(places)).to(flat.device)
        shares = torch.tensor([1.0 / length for length in lengths for _ in range(length)], device=flat.device)
        first = 0
        for group in groups(lengths, self.head.rows):
            sizes = [lengths[i] for i in group]
            here = slice(first, first := first + sum(sizes))
            where = everywhere[here]
            inputs = flat.index_select(0, where)
            wanted = targets.index_select(0, where)
            loss, errors, below_cap = self.head.errors(inputs, wanted)
            losses += loss.split(sizes)
            for name, values in self._token_means(Predictions(wanted, loss, errors), sizes).items():
                means[name] += values
            if gradient is None:
                continue
            below = product(below_cap, self.head.weight) * shares[here].unsqueeze(1)
            gradient.flatten(0, 1).index_copy_(0, where, below.to(gradient.dtype))
            if "gradients" in self.measures:
                both = below_cap.split(sizes), inputs.split(sizes)
                moments.append(head_moments(*both, self.head.cap is None, "mean_abs" in self.measures))
        found.columns |= {name: _numbers(values) for name, values in means.items()}
        if moments:
            statistics = named(torch.cat(moments).cpu().numpy(), self.head.weight.numel())
            found.columns |= {f"head_{name}": value for name, value in statistics.items()}
        return losses

    def _token_means(self, predictions: Predictions, sizes: Sequence[int]) -> dict[str, list[Tensor]]:
        """Return what the declared signals make of some records' tokens, a mean a record, by column.

        Raises:
            GradsError: a signal returns anything but a number for each token.
        """
        found = {}
        for signal in self.token_signals:
            numbers = signal.of_tokens(predictions)
            if numbers.shape != predictions.losses.shape:
                raise GradsError(
                    f"signal '{signal.name}' made {tuple(numbers.shape)} numbers of {len(predictions.losses)} tokens: "
                    "let 'of_tokens' return one for each"
                )
            found[signal.column] = [part.mean() for part in numbers.float().split(list(sizes))]
        return found

    def _add_prompts(
        self, found: Measured, examples: Sequence[Example], prompts: list[Tensor], losses: list[Tensor]
    ) -> None:
        found.columns["prompt_nll"] = _numbers([prompt.mean() for prompt in prompts])
        # The losses of earlier answers are in the prompt; only those of the last answer follow it.
        answers = [len(example.input_ids) - example.prompt_tokens for example in examples]
        whole = [torch.cat([p, loss[-n:]]) for p, loss, n in zip(prompts, losses, answers, strict=True)]
        found.columns["sequence_nll"] = _numbers([loss.mean() for loss in whole])

    def _unconditional(self, examples: Sequence[Example]) -> np.ndarray:
        """Return the mean losses of the responses after nothing but the first token of their prompts."""
        alone = [
            replace(e, input_ids=[e.input_ids[0], *e.input_ids[max(1, e.prompt_tokens) :]], prompt_tokens=1, earlier=())
            for e in examples
        ]
        ids = self._ids(alone)
        for layer in self.layers.values():
            layer.tap = None
        hidden = hidden_states(self.model, input_ids=ids[:, :-1], use_cache=False)
        row = hidden.shape[1]
        losses = self._losses(hidden.flatten(0, 1), following(ids, row), spots(alone, row))
        return _numbers([loss.mean() for loss in losses])

    def _embedding(self, found: Measured, examples: Sequence[Example], gradient: Tensor) -> None:
        lengths = torch.tensor([len(example.input_ids) for example in examples], device=gradient.device)
        inside = torch.arange(gradient.shape[1], device=gradient.device) < lengths.unsqueeze(1)
        own = gradient.float() * self.scale * inside.unsqueeze(2)
        weight = self.embedding.weight
        padding_index = getattr(self.embedding, "padding_idx", None)
        seen = [e.input_ids[: gradient.shape[1]] for e in examples]
        moments = embedding_moments(seen, own, weight.shape[0], padding_index)
        values = named(moments.cpu().numpy(), weight.numel())
        found.columns |= {f"embedding_{name}": value for name, value in values.items()}

    def _read_taps(self, found: Measured, received: dict[str, Tensor | None]) -> None:
        for name, made in received.items():
            if made is None:
                raise GradsError(f"no gradient reached {name}: choose other training.adapter.targets")
        if received:
            read, vectors = self.taps.read({name: made for name, made in received.items() if made is not None})
            found.columns |= read
            found.vectors |= vectors


def _numbers(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.stack(list(parts)).double().cpu().numpy()
