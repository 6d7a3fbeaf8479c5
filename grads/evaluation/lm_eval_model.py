"""lm-eval's model around one in memory: float32 log-probabilities, greedy answers, our progress lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import Collator, handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from torch import nn
from transformers import GenerationConfig

from grads.data.records.formatting import Formatter
from grads.evaluation.engines.contract import Continuation, Engine
from grads.evaluation.engines.packed import Packed
from grads.evaluation.engines.reference import Reference
from grads.evaluation.inference import autocast_dtype
from grads.models.causal import pad_right, unwrap
from grads.runtime.errors import GradsError
from grads.runtime.files import digest
from grads.runtime.progress import Progress

# What lm-eval asks of a choice: its texts, the ids of its context, and those of the choice itself.
Choice = tuple[Any, list[int], list[int]]


def together(requests: Sequence[Choice]) -> Collator:
    """Return lm-eval's batches of choices, the longest first; those of one token after one context share a row."""
    return Collator(
        list(requests),
        sort_fn=lambda request: (-len(request[1] + request[2]), tuple(request[1] + request[2])),
        group_by="contexts",
        group_fn=lambda request: request[1] + request[2][:-1],
    )


class BenchmarkModel(HFLM):
    """lm-eval's model, with float32 log-probabilities taken at the continuations' positions only.

    Batches and forward passes are lm-eval's own, so with the same threads the numbers are too, to the last bit. (Its
    command line batches the requests of all its tasks together: to compare, give it one task at a time.) Left out is
    the softmax over the vocabulary at the positions of prompts and padding, which costs up to as much as the rest.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, batch_size: int) -> None:
        """Wrap a model.

        Args:
            model: in evaluation mode, with or without adapters.
            tokenizer: its tokenizer.
            batch_size: sequences in one forward pass.
        """
        chosen = autocast_dtype(model)
        super().__init__(
            pretrained=unwrap(model),
            tokenizer=tokenizer,
            batch_size=batch_size,
            softmax_dtype="float32",
            mixed_precision_dtype=None if chosen is None else str(chosen).removeprefix("torch."),
        )

    progress: Progress
    # Of tasks in chat form: prompts are those that the domain's questions have.
    formatter: Formatter | None = None

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the prompt of messages; one that a task begins the answer of is lm-eval's own."""
        if self.formatter is None or not add_generation_prompt:
            return super().apply_chat_template(chat_history, add_generation_prompt)
        return self.formatter.chat_prompt(chat_history)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Return log-probability and greediness of each request's continuation, reporting to `progress`."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        collator = together(requests)
        answers: list[tuple[float, bool]] = []
        for chunk in collator.get_batched(n=self.batch_size):
            self._check_room(max(len(continuation) for _, _, continuation in chunk))
            inputs = self.rows(chunk)
            logits = self._model_call(pad_right(inputs, 0).to(self.device))
            for (text, context, continuation), row, ids in zip(chunk, logits, inputs, strict=True):
                rows = row[len(ids) - len(continuation) : len(ids)].log_softmax(-1, dtype=torch.float32)
                # Continuations of one token after one context share a row: the collator hands them out together.
                for _, tokens, found in collator.get_cache(text, context, continuation, rows.unsqueeze(0)):
                    answers.append(score(found[0, -len(tokens) :], tokens))
                    self.progress.advance()
        return collator.get_original(answers)

    def rows(self, chunk: Sequence[Choice]) -> list[list[int]]:
        """Return what the model reads for the choices of a batch: all ids but the last, cut on the left to its room."""
        return [(context + continuation)[-(self.max_length + 1) : -1] for _, context, continuation in chunk]

    def continuations(self, requests: Sequence[Choice]) -> list[Continuation]:
        """Return what is scored of choices, with the tokens before it, cut on the left to the model's room."""
        asked = []
        for _, context, tokens in requests:
            whole = (context + tokens)[-(self.max_length + 1) :]
            asked.append(Continuation(whole[: len(whole) - len(tokens)], tokens))
        return asked

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Return the greedy answer to each request, cut at its stop texts, reporting to `progress`."""
        with _plain_generation(self.model):
            return super().generate_until(requests, disable_tqdm=True)

    def _model_generate(self, context: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        found = super()._model_generate(context, *arguments, **keywords)
        self.progress.advance(len(context))
        return found

    def _check_room(self, longest: int) -> None:
        # A context is cut on the left to make room; a choice has to be whole.
        if longest > self.max_length:
            raise GradsError(
                f"{self.progress.label}: a choice has {longest} tokens, but the model has room for {self.max_length}: "
                "leave such items out of the task's data"
            )


class PackedBenchmark(BenchmarkModel):
    """The same by the fast engine: an item's context once, and answers in batches of their own.

    Prompts, choices and what ends an answer are lm-eval's; in float32 log-probabilities and answers are, too.
    """

    def __init__(self, engine: Packed, tokenizer: Any) -> None:
        super().__init__(engine.model, tokenizer, batch_size=1)
        self.engine = engine

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = True, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        self._check_room(max((len(tokens) for _, _, tokens in requests), default=0))
        scores = self.engine.scores(self.continuations(requests), self.progress.advance)
        return [(one.log_probability, one.greedy) for one in scores]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Return the greedy answer to each request, cut at its stop texts, reporting to `progress`."""
        answers: dict[int, str] = {}
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(digest(request.args[1]), []).append(number)
        for numbers in groups.values():
            found = self._written([requests[number].args[0] for number in numbers], requests[numbers[0]].args[1])
            answers |= zip(numbers, found, strict=True)
        return [answers[number] for number in range(len(requests))]

    def _written(self, contexts: list[str], options: dict[str, Any]) -> list[str]:
        """Return the answers to prompts that share their options."""
        given = normalize_gen_kwargs(options, self.max_gen_toks)
        end = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        texts = handle_stop_sequences(given["until"], eos=end)
        limit = given["max_gen_toks"]
        room = self.max_length - limit
        prompts = [self.tok_batch_encode([context], left_truncate_len=room)[0][0].tolist() for context in contexts]
        # As far back as lm-eval looks for a text that ends an answer.
        backward = [(text, len(self.tokenizer.encode(text, add_special_tokens=False)) + 2) for text in texts]
        stored = self.model.generation_config.eos_token_id
        ends = set(stored if isinstance(stored, list) else [stored])

        def stop(answer: list[int]) -> bool:
            if answer[-1] in ends:
                return True
            return any(text in self.tokenizer.decode(answer[-count:]) for text, count in backward)

        found = self.engine.continued(prompts, limit, stop, self.progress.advance)
        return [postprocess_generated_text(self.tok_decode(one), texts, None) for one in found]


def harness_of(engine: Engine, tokenizer: Any) -> BenchmarkModel:
    """Return an engine as lm-eval takes it."""
    if isinstance(engine, Packed):
        return PackedBenchmark(engine, tokenizer)
    assert isinstance(engine, Reference), engine
    return BenchmarkModel(engine.model, tokenizer, engine.task_batch)


@contextmanager
def _plain_generation(model: Any) -> Iterator[None]:
    """Leave out, inside the block, the sampling and penalties that a model's makers stored with it."""
    stored = model.generation_config
    ids = {name: getattr(stored, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(**ids)
    try:
        yield
    finally:
        model.generation_config = stored


def score(log_probabilities: torch.Tensor, tokens: list[int]) -> tuple[float, bool]:
    """Return the log-probability of a continuation, and whether each token is the likeliest.

    `log_probabilities` are tokens x vocabulary.
    """
    wanted = torch.tensor(tokens, device=log_probabilities.device)
    total = log_probabilities.gather(1, wanted.unsqueeze(1)).sum().item()
    return total, bool((log_probabilities.argmax(-1) == wanted).all())
