"""The fast engine: no token twice, no padding in linear layers, and nothing at positions that are not read.

- Sequences that begin alike, as the choices of an item do, are branches of a tree: one pass over what they share.
- The LM head and the softmax are applied at the positions of continuations only.
- Keys and values are held for generation alone, where a row whose answer has ended makes room for the next prompt.
- An adapter is a low-rank path without PEFT's modules (`grads.models.frozen_paths`).
- Where memory runs out, batches are halved, and the work goes on.

Any transformers model runs like this whose attention goes through transformers' interface. `unfit` finds out by running
it: a model for which packed passes give other states than plain ones is left to the plain path.
"""

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from grads.config.evaluation import ROWS, pass_tokens
from grads.data.batches import longest_first, next_batch
from grads.evaluation.engines.attention import (
    NAME,
    Cache,
    CachedPlan,
    JoinedPlan,
    Plan,
    TreePlan,
    UnsupportedError,
    planned,
)
from grads.evaluation.engines.contract import Advance, Continuation, Score, Visit
from grads.evaluation.engines.trees import Tree, plant
from grads.evaluation.inference import autocast_dtype, inference
from grads.models.causal import decoder, head_logits, hidden_states, unwrap
from grads.models.frozen_paths import low_rank_paths
from grads.models.memory import free_memory, out_of_memory
from grads.models.norms import fused_norms
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

T = TypeVar("T")
Stop = Callable[[list[int]], bool]
# Positions whose logits over the vocabulary are held at a time.
POSITIONS_AT_ONCE = 512
# Share of the free memory that their keys and values may take.
CACHE_SHARE = 0.5
# By how much, of their length, packed and plain states may differ by rounding.
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


@dataclass
class _Row:
    """A sequence that is being continued: the prompt's number, its tokens, and those that have been added."""

    number: int
    prompt: list[int]
    answer: list[int] = field(default_factory=list)
    held: int = 0

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.answer


class Packed:
    """See the module, and `Engine`.

    Args:
        model: with our attention set, and in evaluation mode.
        token_budget: most tokens of a pass.
        generation_batch: most answers at a time; None for as many as pay.
    """

    def __init__(self, model: nn.Module, token_budget: int, generation_batch: int | None = None) -> None:
        self.model = model
        self.core: Any = unwrap(model)
        self.device: torch.device = self.core.device
        self.budget = pass_tokens(token_budget, self.device.type)
        self.rows = generation_batch
        self.lowered: list[dict[str, Any]] = []
        self.written_at_once: int | None = None

    def record(self) -> dict[str, Any]:
        """See `Engine`."""
        found: dict[str, Any] = {"name": "fast"}
        if self.written_at_once is not None:
            found["generation_batch"] = self.written_at_once
        return found | ({"lowered": self.lowered} if self.lowered else {})

    def states(self, sequences: Sequence[list[int]], firsts: Sequence[int], visit: Visit) -> None:
        """See `Engine`."""
        trees = [_chain(sequence) for sequence in sequences]

        def visited(batch: list[int], states: Tensor) -> None:
            start = 0
            for index in batch:
                length = len(sequences[index])
                visit(index, states[start + firsts[index] - 1 : start + length - 1])
                start += length

        with inference(self.model):
            self._each_batch([len(tree.tokens) for tree in trees], lambda batch: self._trees(trees, batch), visited)

    def scores(self, asked: Sequence[Continuation], advance: Advance) -> list[Score]:
        """Return the score of each continuation of at least one token; one without tokens is certain."""
        numbers = [number for number, one in enumerate(asked) if one.tokens]
        found = {number: Score(0.0, True) for number, one in enumerate(asked) if not one.tokens}
        trees = plant({number: asked[number].sequence for number in numbers}, self.budget)

        def scored(batch: list[int]) -> dict[int, Score]:
            return self._scored([trees[index] for index in batch], asked, self._trees(trees, batch))

        def kept(_batch: list[int], scores: dict[int, Score]) -> None:
            found.update(scores)
            for _ in scores:
                advance()

        with inference(self.model):
            self._each_batch([len(tree.tokens) for tree in trees], scored, kept)
        return [found[number] for number in range(len(asked))]

    def _scored(self, trees: Sequence[Tree], asked: Sequence[Continuation], states: Tensor) -> dict[int, Score]:
        """Return the scores of the continuations of some trees, by number, of the trees' states (tokens x width)."""
        numbers: list[int] = []
        places: list[int] = []
        targets: list[int] = []
        start = 0
        for tree in trees:
            for number, path in tree.paths.items():
                tokens = asked[number].tokens
                numbers += [number] * len(tokens)
                places += [start + place for place in path[-len(tokens) :]]
                targets += tokens
            start += len(tree.tokens)
        # Choices of one token have their only position in common: its logits are made once.
        wanted, order = torch.tensor(places, device=self.device).unique(return_inverse=True)
        found = torch.empty(len(targets), device=self.device)
        greedy = torch.empty(len(targets), dtype=torch.bool, device=self.device)
        asked_for = torch.tensor(targets, device=self.device)
        for first in range(0, len(wanted), POSITIONS_AT_ONCE):
            rows = wanted[first : first + POSITIONS_AT_ONCE]
            logits = head_logits(self.model, states[rows])
            here = (order >= first) & (order < first + len(rows))
            row = order[here] - first
            greedy[here] = logits.argmax(-1)[row] == asked_for[here]
            found[here] = logits.log_softmax(-1)[row, asked_for[here]]
        scores: dict[int, Score] = {}
        start = 0
        values = found.tolist()
        likeliest = greedy.tolist()
        while start < len(numbers):
            number = numbers[start]
            stop = start + len(asked[number].tokens)
            scores[number] = Score(float(torch.tensor(values[start:stop]).sum()), all(likeliest[start:stop]))
            start = stop
        return scores

    def answers(
        self, prompts: Sequence[list[int]], limit: int, ends: Sequence[int], advance: Advance
    ) -> list[list[int]]:
        """See `Engine`."""
        return self.continued(prompts, limit, lambda answer: answer[-1] in ends, advance)

    def continued(self, prompts: Sequence[list[int]], limit: int, stop: Stop, advance: Advance) -> list[list[int]]:
        """Return the greedy continuation of each prompt, up to the token with which `stop` says yes to it."""
        if not prompts or not limit:
            return [[] for _ in prompts]
        queue = deque(_Row(number, prompts[number]) for number in longest_first([len(prompt) for prompt in prompts]))
        positions = max(map(len, prompts)) + limit
        answers: dict[int, list[int]] = {}
        with inference(self.model):
            most = self._rows(positions)
            self.written_at_once = min(most, self.written_at_once or most)
            rows = min(most, len(prompts))
            while queue:
                left = self._written(queue, rows, positions, limit, stop, answers, advance)
                if left:
                    rows = self._fewer(rows, left)
                    # What they have written so far is read again with their prompts.
                    queue.extendleft(reversed(left))
        return [answers[number] for number in range(len(prompts))]

    def _written(
        self, queue: deque[_Row], rows: int, positions: int, limit: int, stop: Stop, answers: dict[int, list[int]],
        advance: Advance,
    ) -> list[_Row]:  # fmt: skip
        """Write answers until all are done, or until memory runs out; return the rows that were at work then."""
        cache = Cache(rows, positions)
        active: list[_Row] = []
        while queue or active:
            fresh = self._admitted(queue, rows - len(active))
            try:
                chosen = self._next(active, fresh, cache)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                for row in active + fresh:
                    row.held = 0
                return active + fresh
            active += fresh
            for row, token in zip(active, chosen, strict=True):
                row.held = len(row.tokens)
                row.answer.append(token)
            for place in reversed(range(len(active))):
                row = active[place]
                if len(row.answer) < limit and not stop(row.answer):
                    continue
                answers[row.number] = row.answer
                advance()
                # The last row takes the place that has become free.
                last = active.pop()
                if last is not row:
                    cache.move(len(active), place, last.held)
                    active[place] = last
        return []

    def _admitted(self, queue: deque[_Row], room: int) -> list[_Row]:
        """Take the next prompts out of the queue, as many as there is room for in the cache and in a pass."""
        fresh: list[_Row] = []
        tokens = 0
        while queue and len(fresh) < room:
            tokens += len(queue[0].tokens)
            # One that is longer than a pass goes alone.
            if fresh and tokens > self.budget:
                break
            fresh.append(queue.popleft())
        return fresh

    def _next(self, active: Sequence[_Row], fresh: Sequence[_Row], cache: Cache) -> list[int]:
        """Return the next token of each row: of those that are held by the cache, and of those that are new to it."""
        tokens = [row.answer[-1] for row in active]
        positions = [row.held for row in active]
        last = list(range(len(active)))
        plans: list[Plan] = []
        if active:
            plans.append(CachedPlan(cache, positions, self.device))
        if fresh:
            trees = [_chain(row.tokens) for row in fresh]
            places = range(len(active), len(active) + len(fresh))
            plans.append(TreePlan(trees, self.device, cache, places))
            for tree in trees:
                tokens = tokens + tree.tokens
                positions = positions + tree.depths
                last.append(len(tokens) - 1)
        plan = plans[0] if len(plans) == 1 else JoinedPlan(plans[0], len(active), plans[1])
        states = self._pass(tokens, positions, plan)
        rows = states if len(last) == len(states) else states[last]
        return [token for part in rows.split(POSITIONS_AT_ONCE) for token in self._likeliest(part)]

    def _likeliest(self, states: Tensor) -> list[int]:
        return head_logits(self.model, states).argmax(-1).tolist()

    def _rows(self, positions: int) -> int:
        """Return how many answers are written at a time: as the config says, or as pay and as memory has room for."""
        if self.rows is not None:
            return self.rows
        rows = ROWS.get(self.device.type, ROWS["cpu"])
        free = free_memory(self.device)
        if free is not None:
            room = int(free * CACHE_SHARE) // (positions * _position_bytes(self.core))
            while rows > max(1, room):
                rows //= 2
        return rows

    def _fewer(self, rows: int, left: Sequence[_Row]) -> int:
        """Return half as many rows, after memory has run out on those that are left."""
        if len(left) == 1:
            raise GradsError(
                f"memory ran out in writing one answer, to a prompt of {len(left[0].prompt)} tokens: use a device with "
                "more memory, a smaller model, or a lower training.max_length"
            )
        self._lower("generation_batch", rows, len(left) // 2)
        return len(left) // 2

    def _each_batch(
        self, sizes: Sequence[int], run: Callable[[list[int]], T], use: Callable[[list[int], T], None]
    ) -> None:
        """Run batches of what has these sizes in tokens, longest first, each time with what is then done with it."""
        left = longest_first(sizes)
        while left:
            batch = next_batch(left, sizes, self.budget)
            try:
                found = run(batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                found = None
            if found is None:
                if len(batch) == 1:
                    raise GradsError(
                        f"memory ran out in one pass over {sizes[batch[0]]} tokens: use a device with more memory, a "
                        "smaller model, or shorter texts"
                    )
                self._lower("token_budget", self.budget, len(batch) // 2 * sizes[batch[0]])
                self.budget = len(batch) // 2 * sizes[batch[0]]
                continue
            use(batch, found)
            left = left[len(batch) :]

    def _lower(self, name: str, before: int, after: int) -> None:
        say(f"memory ran out with evaluation.{name} {before}: going on with {after}")
        self.lowered.append({name: after, "before": before, "reason": "memory ran out"})

    def _trees(self, trees: Sequence[Tree], batch: Sequence[int]) -> Tensor:
        """Return the states of all tokens of some trees, one tree behind the other, tokens x width."""
        chosen = [trees[index] for index in batch]
        tokens = [token for tree in chosen for token in tree.tokens]
        depths = [depth for tree in chosen for depth in tree.depths]
        return self._pass(tokens, depths, TreePlan(chosen, self.device))

    def _pass(self, tokens: Sequence[int], positions: Sequence[int], plan: Plan) -> Tensor:
        ids = torch.tensor([tokens], device=self.device)
        places = torch.tensor([positions], device=self.device)
        with planned(plan):
            return hidden_states(self.model, input_ids=ids, position_ids=places, use_cache=False)[0]


@contextmanager
def packed(model: nn.Module, token_budget: int, generation_batch: int | None = None) -> Iterator[Packed]:
    """Yield the engine for a model, which is as it was when the block ends.

    Raises:
        UnsupportedError: the model cannot be run like this; the message says why.
    """
    core: Any = unwrap(model)
    before = core.config._attn_implementation
    with ExitStack() as stack:
        sequences = _trial(core)
        plain = _plain_states(model, sequences)
        stack.enter_context(low_rank_paths(model, autocast_dtype(model) or core.dtype))
        stack.enter_context(fused_norms(core))
        stack.callback(core.set_attn_implementation, before)
        _set_attention(core)
        engine = Packed(model, token_budget, generation_batch)
        _compare(engine, sequences, plain)
        yield engine


def _set_attention(core: Any) -> None:
    rope = getattr(core.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [part.get("rope_type") for part in (rope, *rope.values()) if isinstance(part, dict)]
    if changing := {"dynamic", "longrope"} & {kind for kind in kinds if isinstance(kind, str)}:
        raise UnsupportedError(f"its rotary frequencies ({', '.join(changing)}) depend on the longest row of a batch")
    if not core._can_set_attn_implementation():
        raise UnsupportedError("its attention does not go through transformers' interface")
    if "position_ids" not in inspect.signature(decoder(core).forward).parameters:
        raise UnsupportedError("it does not take its tokens' positions")
    core.set_attn_implementation(NAME)
    if core.config._attn_implementation != NAME:
        raise UnsupportedError("its attention cannot be replaced")


def _trial(core: Any) -> list[list[int]]:
    """Return a few tokens with branches: two sequences that begin alike, and a shorter one."""
    vocabulary = core.config.get_text_config().vocab_size
    ids = [(7 * number + 3) % vocabulary for number in range(16)]
    return [ids[:9], ids[:5] + ids[10:13], ids[12:16]]


def _plain_states(model: nn.Module, sequences: Sequence[list[int]]) -> list[Tensor]:
    device = unwrap(model).device
    with inference(model):
        return [
            hidden_states(model, input_ids=torch.tensor([ids], device=device), use_cache=False)[0] for ids in sequences
        ]


def _compare(engine: Packed, sequences: Sequence[list[int]], plain: Sequence[Tensor]) -> None:
    """Refuse a model that packed passes give other states of than plain ones: as a tree, and token after token."""
    trees = plant(dict(enumerate(sequences)), sum(map(len, sequences)))
    paths: dict[int, list[int]] = {}
    start = 0
    for one in trees:
        paths |= {number: [start + place for place in path] for number, path in one.paths.items()}
        start += len(one.tokens)
    with inference(engine.model):
        plan = TreePlan(trees, engine.device)
        tokens = [token for one in trees for token in one.tokens]
        depths = [depth for one in trees for depth in one.depths]
        ids = torch.tensor([tokens], device=engine.device)
        with planned(plan) as windows:
            states = hidden_states(
                engine.model, input_ids=ids, position_ids=torch.tensor([depths], device=engine.device), use_cache=False
            )[0]
        _check_windows(engine.core.config.get_text_config(), windows)
        for number, expected in enumerate(plain):
            _close(states[paths[number]], expected)
        cache = Cache(len(sequences), max(map(len, sequences)))
        heads = [ids[:-1] for ids in sequences]
        held = TreePlan([_chain(ids) for ids in heads], engine.device, cache, range(len(heads)))
        engine._pass([i for ids in heads for i in ids], [p for ids in heads for p in range(len(ids))], held)
        lengths = [len(ids) for ids in heads]
        states = engine._pass([ids[-1] for ids in sequences], lengths, CachedPlan(cache, lengths, engine.device))
        for found, expected in zip(states, plain, strict=True):
            _close(found, expected[-1])


def _close(found: Tensor, expected: Tensor) -> None:
    rounding = ROUNDING.get(expected.dtype, ROUNDING[torch.bfloat16])
    difference = (found.float() - expected.float()).norm()
    if not difference <= rounding * expected.float().norm():
        raise UnsupportedError("packed tokens give other states than plain ones")


def _check_windows(config: Any, windows: dict[int, int | None]) -> None:
    """Refuse a model that has windows and does not tell its attention of them."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        other = set(kinds) - {"full_attention", "sliding_attention"}
        if other:
            raise UnsupportedError(f"it has layers of the kind {', '.join(sorted(other))}")
        expected = [kind == "sliding_attention" for kind in kinds]
    else:
        expected = [getattr(config, "sliding_window", None) is not None] * config.num_hidden_layers
    if [windows.get(layer) is not None for layer in range(len(expected))] != expected:
        raise UnsupportedError("its layers do not say over which window they attend")


def _chain(tokens: Sequence[int]) -> Tree:
    """Return a sequence as a tree without branches."""
    return Tree(list(tokens), list(range(-1, len(tokens) - 1)), list(range(len(tokens))), {})


def _position_bytes(core: Any) -> int:
    """Return the bytes of keys and values of one token."""
    config = core.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width * core.dtype.itemsize
