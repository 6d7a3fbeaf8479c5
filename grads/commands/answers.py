"""What `grads evaluate` writes: a model's answers to somebody's own test records."""

import time
from pathlib import Path

from grads.commands.workbench import Workbench
from grads.evaluate.stage import EvaluationCell, EvaluationSettings, evaluate_cells
from grads.models.load import check_trained
from grads.runtime.manifest import write_manifests
from grads.runtime.progress import say
from grads.study.config import Evaluation, Generation


def write_predictions(bench: Workbench, trained: Path | None, evaluation: Evaluation, limit: int, out: Path) -> None:
    """Answer every record of the data with at most `limit` tokens; write the predictions and their manifest.

    Raises:
        GradsError: the stage cannot work with a file.
    """
    started = time.time()
    if trained is not None:
        check_trained(bench.model, trained)
    made_from = bench.inputs(trained)
    generation = Generation(max_new_tokens=limit)
    limits = (0, bench.settings.training.max_length)
    # Without a general part there are neither tasks nor texts.
    settings = EvaluationSettings(bench.form, generation, evaluation, {}, Path(), *limits)
    cell = EvaluationCell("evaluate", trained, bench.records, out, None)
    evaluate_cells(bench.model, [cell], settings)
    shaped_by = {"generation": generation.model_dump(), "evaluation": evaluation.model_dump()}
    write_manifests([out], made_from, bench.described() | shaped_by, started)
    say(f"predictions: {out}")
