"""What `grads evaluate` writes: a model's answers to somebody's own test records."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grads.api.workbench import Workbench
from grads.config.evaluation import Evaluation, Generation
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
    job = bench.graph.evaluate(trained, generation, evaluation, out)
    for earlier in bench.graph.before(job)[:-1]:
        bench.make(earlier)
    job.run(bench.machine)
    shaped_by = {"generation": generation.model_dump(), "evaluation": evaluation.model_dump(), "command": "evaluate"}
    record = partial(write_manifests, inputs=made_from, settings=bench.described() | shaped_by, started=started)
    # Before they are measured, so that a command that is stopped then may be given again.
    record([out])
    say(f"predictions: {out}")
    record([out, measure()])
