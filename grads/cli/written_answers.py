"""What `grads evaluate` writes: a model's answers to somebody's own test records."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grads.cli.workbench import Workbench
from grads.config.evaluation import Evaluation, Generation
from grads.evaluation.job import Evaluate
from grads.models.load import check_trained
from grads.runtime.manifest import write_manifests
from grads.runtime.progress import say


def write_predictions(
    bench: Workbench,
    trained: Path | None,
    evaluation: Evaluation,
    generation: Generation,
    out: Path,
    measure: Callable[[], Path],
) -> None:
    """Answer every record of the data; write the predictions, what `measure` makes of them, and the manifest of both.

    Raises:
        GradsError: the stage cannot work with a file.
    """
    started = time.time()
    if trained is not None:
        check_trained(bench.model, trained)
    made_from = bench.inputs(trained)
    # Without a general part there are neither tasks nor texts.
    job = Evaluate(
        model=bench.model,
        trained=trained,
        tests=[bench.records],
        text_tokens=0,
        max_length=bench.request.training.max_length,
        form=bench.graph.form,
        generation=generation,
        evaluation=evaluation.model_dump(mode="json"),
        label="evaluate",
        predictions=[out],
    )
    job.run(bench.machine)
    shaped_by = {"generation": generation.model_dump(), "evaluation": evaluation.model_dump(), "command": "evaluate"}
    record = partial(write_manifests, inputs=made_from, settings=bench.described() | shaped_by, started=started)
    # Before they are measured, so that a command that is stopped then may be given again.
    record([out])
    say(f"predictions: {out}")
    record([out, measure()])
