"""The records of a command, as its model sees them."""

from grads.api.workbench import Workbench
from grads.data.records.formatting import Example
from grads.models.load import load_tokenizer
from grads.probing.eligible import nothing_eligible
from grads.probing.run import Task, tokenize


def eligible_examples(bench: Workbench) -> list[Example]:
    """Return the eligible records as token ids, in their order.

    Raises:
        GradsError: there are none.
    """
    folder = bench.make(bench.graph.prepare_model(weights=False)).folder
    task = Task(folder, bench.records, bench.graph.form, bench.request.training, bench.work)
    if examples := tokenize(task, load_tokenizer(folder))[0].examples:
        return examples
    raise nothing_eligible(task.records, task.training)
