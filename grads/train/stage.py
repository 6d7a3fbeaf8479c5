"""The training stage: from selected records to an adapter (or all weights) and its training curve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from grads.data.formatting import Example, Formatter
from grads.models.adapter import fresh_adapter, trained_adapter
from grads.models.causal import pad_right
from grads.models.device import device
from grads.models.flops import training_flops
from grads.models.load import load_model, load_tokenizer
from grads.models.moments import write_moments
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, digest, read_json, remove, write_json
from grads.runtime.locks import scratch_folder
from grads.runtime.manifest import content_sha256, known_sha256
from grads.runtime.progress import say
from grads.study.code import code_version
from grads.study.config import Format, Precision, Training
from grads.train.cell import TrainingCell
from grads.train.material import Material, prepare_material
from grads.train.schedule import micro_batch
from grads.train.strategies.registry import find_strategy, parse_parameters
from grads.train.trainer import Collator, ProgressLines, ResponseTrainer, Watch


def train_cells(
    cells: Sequence[TrainingCell], model_folder: Path, form: Format, training: Training, micro_batch_limit: int
) -> None:
    """Train every cell on one prepared model, one after the other; each cell's outputs appear when it is done.

    Args:
        cells: the runs.
        model_folder: the prepared model.
        form: how records become prompts.
        training: settings shared by all arms; strategies may change their own cells'.
        micro_batch_limit: most records in one forward and backward pass; the machine's, not the study's.

    Raises:
        GradsError: nothing to train on, a strategy cannot work here, a run diverged, or the trained weights do not
            change the logits.
    """
    formatter = Formatter(load_tokenizer(model_folder), form)
    for cell in cells:
        settings = training.model_copy(update={"epochs": cell.epochs or training.epochs})
        strategy = find_strategy(cell.strategy)
        settings = strategy.settings(settings, parse_parameters(strategy, cell.strategy_parameters))
        _train_cell(cell, model_folder, formatter, settings, micro_batch_limit)


def _train_cell(
    cell: TrainingCell, model_folder: Path, formatter: Formatter, training: Training, micro_batch_limit: int
) -> None:
    material = prepare_material(cell, formatter, training)
    visits, order = material.visits, material.order
    say(f"{cell.label}: {len(set(order))} records, {len(order)} visits")
    size = micro_batch(training.global_batch, micro_batch_limit)
    key = _shaped_by(cell, model_folder, training, material) | {"form": formatter.sha256, "micro_batch": size}
    with scratch_folder(cell.scratch, key) as scratch:
        model: Any = _trainable(model_folder, training, cell.initialisation_seed, cell.start)
        padding = formatter.tokenizer.pad_token_id
        clock = ProgressLines(cell.label, scratch / "seconds.json")
        arguments = _arguments(training, len(visits), size, scratch, cell.initialisation_seed)
        callbacks: list[Any] = [clock]
        if cell.observer is not None:
            cell.observer.open(scratch, padding, visits, digest(key))
            callbacks.append(Watch(visits, training.global_batch, cell.observer))
        history, optimizer = _fit(model, material, padding, arguments, training.precision, callbacks)
        with atomic_path(cell.trained) as folder:
            model.save_pretrained(folder)
            # The model card that PEFT adds names folders of this machine.
            remove(folder / "README.md")
            _check_effect(model_folder, folder, visits[0], training, cell.label)
        summary = _summary(order, visits, history, training, size, clock.seconds) | _plan(cell, material)
        summary["flops"] = training_flops(model, summary["tokens"])
        if cell.moments is not None:
            write_moments(cell.moments, model, optimizer)
        if cell.observer is not None:
            cell.observer.close(clock.seconds, model, summary["tokens"])
        write_json(cell.summary, summary)


def _shaped_by(cell: TrainingCell, model_folder: Path, training: Training, material: Material) -> dict[str, Any]:
    """Return what shapes a run and what is seen of it, but the form of its prompts and how its batches are cut."""
    watching = [type(cell.observer).__module__] if cell.observer else []
    return {
        "training": training.model_dump(),
        "order": material.order,
        "weights": material.weights,
        "initialisation": cell.initialisation_seed,
        "model": known_sha256(model_folder),
        "start": cell.start and content_sha256(cell.start),
        "observer": cell.observer and cell.observer.key,
        "code": code_version("grads.train.stage", *watching),
    }


def _trainable(model_folder: Path, training: Training, seed: int, start: Path | None) -> torch.nn.Module:
    """Return the model with float32 trainable weights: a LoRA adapter on frozen weights, or all weights."""
    if training.weights == "full":
        return load_model(model_folder, "float32", start)
    model = load_model(model_folder, training.precision)
    return (
        fresh_adapter(model, training.adapter, seed)
        if start is None
        else trained_adapter(model, start, training.adapter.dropout)
    )


def _fit(
    model: torch.nn.Module,
    material: Material,
    padding: int,
    arguments: Any,
    precision: Precision,
    callbacks: list[Any],
) -> tuple[list[dict[str, Any]], Any]:
    """Train to the end, from the last whole checkpoint if there is one; return history (an entry a step) and AdamW."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer = ResponseTrainer(
        model=model,
        args=arguments,
        train_dataset=material.visits,  # a list is a map-style data set
        data_collator=Collator(padding, material.weights),
        precision=precision,
        callbacks=callbacks,
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.train(resume_from_checkpoint=_last_checkpoint(Path(arguments.output_dir)))
    return [entry for entry in trainer.state.log_history if "loss" in entry], trainer.optimizer


def _arguments(training: Training, visits: int, size: int, scratch: Path, seed: int) -> Any:
    from transformers import TrainingArguments

    steps = -(-visits // training.global_batch)
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=1,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=training.global_batch // size,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        # Rounded down: a warm-up step has rate 0, which would waste one of a short run's few steps.
        warmup_steps=int(training.warmup * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim="adamw_torch",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(20, -(-steps // 5)),
        save_total_limit=2,
        seed=seed,
        data_seed=seed,
        report_to=[],
        remove_unused_columns=False,
        use_cpu=device().type == "cpu",
        dataloader_pin_memory=device().type == "cuda",
    )


def _last_checkpoint(scratch: Path) -> str | None:
    """Return the newest checkpoint that was written to its end: the trainer's state is what it writes last."""
    checkpoints = sorted(scratch.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(checkpoints):
        try:
            read_json(checkpoint / "trainer_state.json")
        except (OSError, ValueError):
            remove(checkpoint)
            continue
        say(f"resuming from {checkpoint}")
        return str(checkpoint)
    return None


@torch.no_grad()
def _check_effect(model_folder: Path, trained: Path, example: Example, training: Training, label: str) -> None:
    """Refuse a run whose saved weights, loaded again, leave the model's logits as they were."""
    ids = pad_right([example.input_ids], 0).to(device())
    before, after = (load_model(model_folder, training.precision, weights)(ids).logits for weights in (None, trained))
    change = (after.float() - before.float()).abs().max().item()
    if not change > 0:
        raise GradsError(f"{label}: the trained weights do not change the logits (largest change {change}): report it")


def _summary(
    order: list[str],
    visits: list[Example],
    history: list[dict[str, Any]],
    training: Training,
    size: int,
    seconds: float,
) -> dict[str, Any]:
    return {
        "records": len(set(order)),
        "visits": len(order),
        "epochs": training.epochs,
        "steps": len(history),
        "tokens": sum(len(e.input_ids) for e in visits),
        "response_tokens": sum(e.response_tokens for e in visits),
        "micro_batch": size,
        "seconds": round(seconds, 3),
        "final_loss": history[-1]["loss"],
        "curve": [{k: entry[k] for k in ("step", "loss", "grad_norm", "learning_rate")} for entry in history],
    }


def _plan(cell: TrainingCell, material: Material) -> dict[str, Any]:
    """Return how the cell was trained beyond the study's settings; epochs are counted where they follow from that."""
    order = material.order
    plan = {"strategy": cell.strategy, "match": cell.match, "notes": dict(material.notes)}
    return plan if cell.match == "epochs" else plan | {"epochs": round(len(order) / len(set(order)), 3)}
