"""Which engine runs a model."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from grads.config.evaluation import Evaluation
from grads.evaluation.engines.attention import UnsupportedError
from grads.evaluation.engines.contract import Engine
from grads.evaluation.engines.packed import packed
from grads.evaluation.engines.reference import Reference
from grads.models.causal import unwrap
from grads.runtime.progress import say


@contextmanager
def engine_of(model: nn.Module, evaluation: Evaluation) -> Iterator[Engine]:
    """Yield the engine that the config asks for; when the block ends the model is as it was.

    Args:
        model: a causal language model in evaluation mode, with or without adapters.
        evaluation: the config's section.
    """
    engine: Engine | None = None
    reason = None
    with ExitStack() as stack:
        if evaluation.engine != "reference":
            try:
                engine = stack.enter_context(packed(model, evaluation.token_budget, evaluation.rows))
            except UnsupportedError as error:
                reason = f"{type(unwrap(model)).__name__}: {error}"
        if engine is None:
            engine = _plain(model, evaluation, reason)
        yield engine


def _plain(model: nn.Module, evaluation: Evaluation, reason: str | None) -> Reference:
    if reason is not None:
        say(f"evaluating by the plain path, which takes several times as long; {reason}")
    return Reference(model, evaluation.token_budget, evaluation.task_batch, reason)
