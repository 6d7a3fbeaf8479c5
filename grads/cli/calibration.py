"""How fast this machine is with a model: a few records through each kind of pass, measured once and stored."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grads.config.study import Study
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import Record, load_records, write_records
from grads.evaluation.generation import generate
from grads.models.load import load_model, load_tokenizer
from grads.probing.measure import measure
from grads.runtime.files import digest, read_object, reading, write_json
from grads.runtime.manifest import environment
from grads.runtime.preload import can_preload
from grads.runtime.progress import Progress, say
from grads.study.paths import Paths
from grads.training.run import TrainingCell, train_cells

RECORDS = 16
MICRO_BATCH = 8


@dataclass(frozen=True)
class Calibration:
    """Seconds of one worker: per token of each kind of pass, per answer, and per job to start; bytes of an adapter."""

    forward: float
    probe: float
    train: float
    answer: float
    start: float
    adapter_bytes: int


def calibrate(study: Study, model: str, domain: str) -> Calibration:
    """Return the calibration of a model on this device: the stored one, or else measured now and stored.

    Model and records must be prepared. Another device, model or training setting is measured anew.
    """
    machine = environment()["machine"]
    settings = (study.training, study.probe, study.generation, study.evaluation, study.every_model[model])
    device = [machine[name] for name in ("device", "processor", "instructions")]
    key = digest([model, *device, *(part.model_dump() for part in settings)], 16)
    path = Paths(study.study).root / "calibration.json"
    known = read_object(path) if path.is_file() else {}
    if key not in known:
        say(f"plan: measuring how fast {model} is on this device, once")
        known[key] = asdict(_measure(study, model, domain))
        write_json(path, known)
    with reading(path):
        return Calibration(**known[key])


def _measure(study: Study, model: str, domain: str) -> Calibration:
    paths = Paths(study.study)
    folder = paths.model(model)
    formatter = Formatter(load_tokenizer(folder), study.every_model[model].format)
    records = load_records(paths.records(domain, "train"))[: 4 * RECORDS]
    examples = formatter.tokenize(records, study.training.max_length, study.training.over_length).examples[:RECORDS]
    tokens = sum(len(example.input_ids) for example in examples)
    train, size, whole = _training(study, model, folder, [r for r in records if r.id in {e.id for e in examples}])
    forward, probe = _passes(study, folder, examples, formatter)
    started = time.monotonic()
    loaded = load_model(folder, study.evaluation.precision)
    load = time.monotonic() - started
    progress = Progress("plan, answers", 4)
    limit = study.generation.max_new_tokens
    budget = study.evaluation.token_budget
    answer = _seconds(lambda: generate(loaded, formatter, records[:4], limit, budget, progress)) / len(records[:4])
    # Training all weights loads a model three times: once to train, twice to check.
    # Seconds of a process and its libraries, which jobs of a run share where they can.
    start = 2.0 if can_preload() else 5.0
    loads = 1 if study.training.weights == "lora" else 3
    return Calibration(forward / tokens, probe / tokens, train, answer, max(whole, loads * load) + start, size)


def _passes(study: Study, folder: Path, examples: list[Example], formatter: Formatter) -> tuple[float, float]:
    """Return the seconds of a forward pass and of a gradient probe over the examples."""
    model = load_model(folder, study.probe.precision)
    budget = study.probe.token_budget
    padding = formatter.tokenizer.pad_token_id

    def seconds(name: str, measures: str) -> float:
        progress = Progress(f"plan, {name}", len(examples))
        return _seconds(lambda: measure(model, examples, [measures], budget, padding, progress))

    return seconds("forward", "hidden"), seconds("probe", "gradients")


def _training(study: Study, model: str, folder: Path, records: list[Record]) -> tuple[float, int, float]:
    """Return seconds per token of training, bytes of what it writes, and its seconds beside the steps."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grads-plan-") as scratch:
        place = Path(scratch)
        write_records(place / "records.parquet", records)
        cell = TrainingCell(
            label="plan, training",
            records=place / "records.parquet",
            kept=None,
            trained=place / "adapter",
            summary=place / "training.json",
            scratch=place / "scratch",
            initialisation_seed=0,
            order_seed=0,
            epochs=1,
        )
        train_cells([cell], folder, study.every_model[model].format, study.training, MICRO_BATCH)
        summary = read_object(place / "training.json")
        size = sum(file.stat().st_size for file in (place / "adapter").iterdir())
    return summary["seconds"] / summary["tokens"], size, time.monotonic() - started - summary["seconds"]


def _seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
