from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.evaluate.general import TaskSpec
    from grads.evaluate.stage import EvaluationCell, EvaluationSettings, evaluate_cells
    from grads.study.config import Evaluation, Format, Generation

    given, parameters, trained = snakemake.input, snakemake.params, snakemake.input.get("trained")
    tests, answers = (([x] if isinstance(x, str) else list(x)) for x in (given.records, snakemake.output.predictions))
    # The general part is measured once, with the first domain.
    generals = [Path(snakemake.output.general), *[None] * (len(tests) - 1)]
    cells = [
        EvaluationCell(parameters.label, trained and Path(trained), Path(test), Path(answer), general)
        for test, answer, general in zip(tests, answers, generals, strict=True)
    ]
    files = dict(zip(parameters.tasks, given.tasks, strict=True))
    tasks = {name: TaskSpec(Path(files[name]), **task) for name, task in parameters.tasks.items()}
    form, generation = Format(**parameters.format), Generation(**parameters.generation)
    evaluation, texts = Evaluation(metrics=[], **parameters.evaluation), Path(given.text)
    limits = (parameters.text_tokens, parameters.max_length)
    evaluate_cells(Path(given.model), cells, EvaluationSettings(form, generation, evaluation, tasks, texts, *limits))
