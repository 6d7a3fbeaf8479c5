from pathlib import Path

from grads.runtime.locks import take_device_slot
from grads.runtime.process import job

with job(snakemake):
    take_device_slot()
    from grads.config.evaluation import Evaluation, Generation
    from grads.config.models import Format
    from grads.evaluation.benchmarks import TaskSpec
    from grads.evaluation.run import EvaluationCell, EvaluationSettings, evaluate_cells

    given, made, parameters = snakemake.input, snakemake.output, snakemake.params
    tests, answers = (([x] if isinstance(x, str) else list(x)) for x in (given.records, made.get("predictions", [])))
    # Answers to other domains lie in a folder.
    answers = answers or [f"{made.cross}/{Path(test).parent.name}.jsonl" for test in tests]
    # The general part is measured once, with the first domain.
    generals = [made.get("general"), *[None] * (len(tests) - 1)]
    trained = given.get("trained") and Path(given.trained)
    cells = [
        EvaluationCell(parameters.label, trained, Path(test), Path(answer), general and Path(general))
        for test, answer, general in zip(tests, answers, generals, strict=True)
    ]
    files = zip(parameters.tasks.items(), given.get("tasks", []), given.get("samples", []), strict=True)
    tasks = {name: TaskSpec(Path(file), sample=Path(sample), **task) for (name, task), file, sample in files}
    form, generation = Format(**parameters.format), Generation(**parameters.generation)
    evaluation, texts = Evaluation(**parameters.evaluation), Path(given.get("text", ""))
    limits = (parameters.text_tokens, parameters.max_length, Path(parameters.finished))
    evaluate_cells(Path(given.model), cells, EvaluationSettings(form, generation, evaluation, tasks, texts, *limits))
