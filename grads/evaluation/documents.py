"""What lm-eval found for each document of a task, in the form that results keep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import digest

LONGEST_TEXT = 2000
"""Characters of an answer or target that are kept: results of thousands of runs stay small."""
CUT = " [...] "
NO_FILTER = "none"
PASSAGE = "passage"
"""Field of an item that several may have in common, where the study names none."""
# By metric, what lm-eval divides a choice's log-probability by.
LENGTHS: dict[str, Callable[[str], int]] = {"acc_norm": len, "acc_bytes": lambda choice: len(choice.encode())}
MUTUAL_INFORMATION = "acc_mutual_info"


@dataclass(frozen=True)
class Place:
    """Where a task stands in the study, for errors; which of lm-eval's numbers is taken, which field groups items."""

    name: str
    file: Path
    metric: str
    group: str | None = None

    @property
    def key(self) -> str:
        """Return the metric as lm-eval's results call it, with a filter."""
        return self.metric if "," in self.metric else f"{self.metric},{NO_FILTER}"


def find_items(place: Place, definition: Any, samples: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return a task's items in the order of its documents, and a text whose hash stands for items, prompts and targets.

    It is of the samples of one filter: with one filter its hash is lm-eval's task hash.

    Each item has `doc_id`, `correct` (the metric), `target`, `group` where its document has the field that groups items
    (a hash of what stands there), and by the task's kind what `_choices` returns, `gold_logprob` alone, or the
    `response`; where a filter made that of what the model wrote, or put `[invalid]` in its place, the model's own text
    stands next to it as `written` (a list, if it was asked repeatedly).

    Raises:
        GradsError: the metric or filter is not there, is no number, there is no right choice, or a choice is empty
            whose length the metric divides by.
    """
    metric, _, chosen = place.key.partition(",")
    filters = sorted({sample["filter"] for sample in samples})
    kept = sorted((sample for sample in samples if sample["filter"] == chosen), key=lambda sample: sample["doc_id"])
    if not kept or metric not in kept[0]:
        metrics = [f"{name},{one}" for one in filters for name in samples[0]["metrics"]]
        known = ", ".join(name.removesuffix(f",{NO_FILTER}") for name in metrics)
        raise GradsError(f"general.tasks.{place.name}.metric is '{place.metric}': {place.file} has {known}; choose one")
    hashes = "".join(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"] for sample in kept)
    return [_item(place, definition, sample, metric) for sample in kept], hashes


def _item(place: Place, definition: Any, sample: dict[str, Any], metric: str) -> dict[str, Any]:
    try:
        correct = float(sample[metric])
    except (TypeError, ValueError):
        raise GradsError(
            f"general.tasks.{place.name}.metric is '{place.metric}', which has no number for each item: choose another"
        ) from None
    item = {"doc_id": sample["doc_id"], "correct": correct, "target": _short(sample["target"])}
    if (group := _group(place, sample["doc"])) is not None:
        item["group"] = group
    responses = sample["filtered_resps"]
    if definition.OUTPUT_TYPE == "generate_until":
        return item | {"response": _short(responses[0])} | _written(sample)
    if definition.OUTPUT_TYPE == "loglikelihood":
        return item | {"gold_logprob": responses[0][0]}
    return item | _choices(place, definition, sample, metric)


def _choices(place: Place, definition: Any, sample: dict[str, Any], metric: str) -> dict[str, Any]:
    """Return what is known of the choices of an item.

    That is `gold` (number of the right one), `gold_logprob`, `choice_logprobs` in nats, and what the metric compares
    them by besides: `choice_lengths`, or `choice_unconditional`, their log-probabilities without the question.
    """
    choices = definition.doc_to_choice(sample["doc"])
    gold = _gold(place, definition, sample)
    if not 0 <= gold < len(choices):
        raise GradsError(
            f"{place.file}: doc_to_target gives {gold} for item {sample['doc_id']}, which has {len(choices)} choices: "
            "count them from 0"
        )
    log_probabilities = [response[0] for response in sample["filtered_resps"]]
    # Where a task file lists that metric, those without the question stand behind the others.
    asked = log_probabilities[: len(choices)]
    unconditional = log_probabilities[len(choices) :]
    found = {"gold": gold, "gold_logprob": asked[gold], "choice_logprobs": asked}
    if metric in LENGTHS:
        found["choice_lengths"] = [LENGTHS[metric](choice) for choice in choices]
        if 0 in found["choice_lengths"]:
            raise GradsError(
                f"{place.file}: item {sample['doc_id']} has an empty choice, whose length '{metric}' divides by: leave "
                f"the item out, or set general.tasks.{place.name}.metric to 'acc'"
            )
    if metric == MUTUAL_INFORMATION:
        found["choice_unconditional"] = unconditional
    return found


def _group(place: Place, doc: dict[str, Any]) -> str | None:
    """Return what a document belongs to, by the field that the study names, else by its passage; none without."""
    if place.group is not None and place.group not in doc:
        raise GradsError(
            f"general.tasks.{place.name}.group: '{place.group}' is no field of its items: {nearest(place.group, doc)}"
        )
    value = doc.get(place.group or PASSAGE)
    return digest(value, 12) if value else None


def _gold(place: Place, definition: Any, sample: dict[str, Any]) -> int:
    """Return the number of the right choice, as lm-eval finds it."""
    doc = sample["doc"]
    # If a task chooses between contexts, `doc_to_text` gives the index of the right context.
    target = definition.doc_to_text(doc) if definition.multiple_input else sample["target"]
    if isinstance(target, str) and target in (choices := definition.doc_to_choice(doc)):
        return int(choices.index(target))
    if isinstance(target, int):
        return target
    raise GradsError(f"{place.file}: doc_to_target gives {target!r}: make it the index of the right choice")


def _written(sample: dict[str, Any]) -> dict[str, Any]:
    """Return what the model wrote, unless it is itself the response that was judged."""
    texts = sample["resps"][0]
    if texts == [sample["filtered_resps"][0]]:
        return {}
    kept = [_both_ends(text) for text in texts]
    return {"written": kept[0] if len(kept) == 1 else kept}


def _both_ends(text: str) -> str:
    """Return a text that, if it is long, has lost its middle: an answer stands at the end of what leads to it."""
    if len(text) <= LONGEST_TEXT:
        return text
    half = (LONGEST_TEXT - len(CUT)) // 2
    return text[:half] + CUT + text[-half:]


def _short(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    return (value if isinstance(value, str) else str(value))[:LONGEST_TEXT]
