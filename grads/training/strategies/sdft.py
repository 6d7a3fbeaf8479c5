"""`sdft`: records are answered in the model's own words before it is tuned on them (self-distillation fine-tuning).

The untuned model gets each record's question with its answer as a guide and writes a response of its own. Where that
one says what the answer says it takes the answer's place; elsewhere the answer stays. What is trained on is then nearer
to what the model would say anyway, so that less has to change.

Certain: the words that ask for the response, and that a response which is not right is replaced by the record's own
answer (arXiv 2402.13669, section 3: the final answers of mathematical problems are compared).

Ours: the criterion, as most answers have no final part that could be compared. A response is kept if it ended before
`generation.max_new_tokens`, holds every number of the answer, and at least the share `recall` of the answer's distinct
words (runs of letters and digits, whatever their case). Responses are written greedily, once for all records of a
domain, whatever an arm keeps of them; of a conversation the last answer alone. A response that is as the answer is, or
for which the prompt leaves no room, changes nothing and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from grads.data.compared_words import ONE_WORD
from grads.training.strategies.contract import Inputs, Needs, Parameters, Prepared, Strategy

if TYPE_CHECKING:
    from grads.data.records.formatting import Example


class Sdft(Parameters):
    """Parameters of `sdft`."""

    recall: float = Field(0.5, ge=0, le=1, description="Share of the answer's words that a response has to hold.")


def needs(_parameters: Sdft) -> Needs:
    """Return the need of the model's own answers."""
    return Needs(own_answers=True)


def prepare(examples: Mapping[str, Example], inputs: Inputs, parameters: Sdft) -> Prepared:
    """Put the responses that are kept in the place of the answers."""
    chosen = dict(examples)
    same = kept = 0
    for id_ in examples:
        own = inputs.own_answers.get(id_)
        if own is None or own.capped or not says(own.answer, own.reference, parameters.recall):
            continue
        if own.answer == own.reference:
            same += 1
            continue
        chosen[id_] = own.example
        kept += 1
    notes = {"responses": sum(id_ in inputs.own_answers for id_ in examples), "kept_responses": kept}
    return Prepared(chosen, notes=notes | {"responses_as_the_answer": same})


def says(response: str, answer: str, recall: float) -> bool:
    """Return whether a response holds all numbers of an answer and enough of its words."""
    said = _words(response)
    wanted = _words(answer)
    numbers = {word for word in wanted if any(character.isdigit() for character in word)}
    return numbers <= said and len(wanted & said) >= recall * len(wanted)


def _words(text: str) -> set[str]:
    return set(ONE_WORD.findall(text.lower()))


STRATEGY = Strategy(
    name="sdft",
    title="Answers in the model's own words (SDFT)",
    source="arXiv 2402.13669, section 3",
    parameters=Sdft,
    needs=needs,
    prepare=prepare,
)
