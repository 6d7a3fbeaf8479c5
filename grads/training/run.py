"""The training stage: from selected records to an adapter (or all weights) and its training curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from grads.config.models import Format
from grads.config.section import Precision
from grads.config.training import Training, departures
from grads.data.records.formatting import Example, Formatter
from grads.models.adapter import fresh_adapter, trained_adapter
from grads.models.causal import check_context, unwrap
from grads.models.device import chosen_precision, device
from grads.models.flops import training_flops
from grads.models.load import load_model, load_tokenizer
from grads.models.memory import out_of_memory
from grads.models.moments import write_moments
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, digest, remove, write_json
from grads.runtime.locks import scratch_folder
from grads.runtime.manifest import verified
from grads.runtime.progress import say
from grads.study.code import code_version
from grads.training.base_model import BaseModel, OwnLoss
from grads.training.cell import Base, TrainingCell
from grads.training.checkpoints import note_shortage, resume, step_of
from grads.training.curves import event_files
from grads.training.dataset import Material, prepare_material
from grads.training.effect import check_adapter, check_weights
from grads.training.engine import ENGINES
from grads.training.step import Collator, Pace, Step
from grads.training.strategies.contract import Parameters, Strategy
from grads.training.strategies.registry import find_strategy, module_of, parse_parameters
from grads.training.trainer import ProgressLines, ResponseTrainer, Watch, deterministic
from grads.training.visits import micro_batch, optimiser_steps


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
        GradsError: nothing to train on, a strategy cannot work here, a run diverged, memory ran out, this process sees
            several GPUs, or the trained weights do not change the logits.
    """
    formatter = Formatter(load_tokenizer(model_folder), form)
    for cell in cells:
        shared = training.model_copy(update={"epochs": cell.epochs or training.epochs})
        strategy, parameters = _strategy(cell)
        settings = strategy.settings(cell.own.applied(shared), parameters)
        found = departures(shared, settings) | ({} if cell.own.stop is None else {"stop": f"{cell.own.stop:g} for 1"})
        _train_cell(cell, model_folder, formatter, settings, found, micro_batch_limit)


def _train_cell(
    cell: TrainingCell,
    model_folder: Path,
    formatter: Formatter,
    training: Training,
    departing: Mapping[str, str],
    micro_batch_limit: int,
) -> None:
    material = prepare_material(cell, formatter, training)
    visits = material.visits
    order = material.order
    say(f"{cell.label}: {len(set(order))} records, {len(order)} visits")
    key = _shaped_by(cell, model_folder, training, material) | {"form": formatter.sha256}
    with scratch_folder(cell.scratch, key) as scratch:
        size, checkpoint = resume(scratch, micro_batch(training.global_batch, micro_batch_limit))
        engine = ENGINES[training.engine]()
        pace = _pace(training, size)
        model: Any = _trainable(model_folder, training, cell.initialisation_seed, cell.start)
        check_context(visits, unwrap(model).config)
        padding = formatter.tokenizer.pad_token_id
        clock = ProgressLines(cell.label, scratch / "seconds.json")
        arguments = _arguments(
            training, len(visits), material.schedule, engine.optimiser, scratch, cell.initialisation_seed
        )
        callbacks: list[Any] = [clock]
        if cell.observer is not None:
            cell.observer.open(scratch, padding, visits, digest(key | {"micro_batch": size}))
            callbacks.append(Watch(visits, training.global_batch, cell.observer))
        if cell.curves is not None:
            callbacks.append(event_files(cell.curves, 0 if checkpoint is None else step_of(checkpoint)))
        own_loss = _own_loss(cell, model, model_folder, training.precision, material)
        base_passes = own_loss.base_passes if own_loss else 0
        fisher_tokens = own_loss.fisher_tokens if own_loss else 0
        trainer = ResponseTrainer(
            model=model,
            args=_alone(arguments),
            train_dataset=visits,  # a list is a map-style data set
            step=Step(engine, training.precision, Collator(padding, material.weights), pace, own_loss),
            schedule=material.schedule,
            callbacks=callbacks,
        )
        with engine.ready(model, visits):
            history = _fit(trainer, checkpoint, cell.label)
        summary = _summary(order, visits, history, training, pace, clock.seconds) | _plan(cell, material, training)
        summary |= engine.notes() | {"departures": dict(departing)}
        summary["flops"] = training_flops(model, summary["tokens"], base_passes, fisher_tokens)
        if cell.moments is not None:
            write_moments(cell.moments, model, trainer.optimizer)
        if cell.observer is not None:
            cell.observer.close(clock.seconds, model, summary["tokens"])
        with atomic_path(cell.trained) as folder:
            _save(model, folder, cell.base)
            if training.weights == "lora":
                check_adapter(model, folder, visits[0], cell.label)
            else:
                # The check loads two models, one after the other: the trained one, its optimiser and a copy of the base
                # model make room.
                del model, trainer, own_loss
                check_weights(model_folder, folder, visits[0], training.precision, cell.label)
        write_json(cell.summary, summary)


def _strategy(cell: TrainingCell) -> tuple[Strategy, Parameters]:
    strategy = find_strategy(cell.strategy)
    return strategy, parse_parameters(strategy, cell.strategy_parameters)


def _own_loss(
    cell: TrainingCell, model: Any, model_folder: Path, precision: Precision, material: Material
) -> OwnLoss | None:
    """Return the loss that the cell's strategy has of its own, None where it trains with the plain one."""
    strategy, parameters = _strategy(cell)
    if strategy.loss is None:
        return None
    base = BaseModel(model, strategy.needs(parameters), model_folder, precision, material.general)
    return OwnLoss(strategy, parameters, base)


def _shaped_by(cell: TrainingCell, model_folder: Path, training: Training, material: Material) -> dict[str, Any]:
    """Return what shapes a run and what is seen of it, but the form of its prompts and how its batches are cut.

    Ids do not say it all: which earlier answers of a conversation carry loss is no part of a record's.
    """
    watching = [type(cell.observer).__module__] if cell.observer else []
    strategy, parameters = _strategy(cell)
    return {
        "strategy": [strategy.name, parameters.model_dump(mode="json")],
        "training": training.model_dump() | {"precision": chosen_precision(training.precision)},
        "visits": material.sha256,
        "schedule": material.schedule,
        "weights": material.weights,
        "general": [[example.id, example.input_ids, example.prompt_tokens] for example in material.general],
        "initialisation": cell.initialisation_seed,
        "model": verified(model_folder),
        "start": cell.start and verified(cell.start),
        "observer": cell.observer and cell.observer.key,
        "code": code_version("grads.training.run", module_of(strategy.name), *watching),
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


def _pace(training: Training, size: int) -> Pace:
    return Pace(
        micro_batch=size,
        longest=training.max_length,
        checkpointing=training.checkpointing == "always",
        may_checkpoint=training.checkpointing != "never",
    )


def _alone(arguments: Any) -> Any:
    """Return a Trainer's arguments, unless it would train on several GPUs.

    Raises:
        GradsError: this process sees several.
    """
    if arguments.n_gpu > 1:
        raise GradsError(
            f"this process sees {arguments.n_gpu} GPUs and trains on one: set CUDA_VISIBLE_DEVICES to the one to take"
        )
    return arguments


def _fit(trainer: ResponseTrainer, checkpoint: Path | None, label: str) -> list[dict[str, Any]]:
    """Train to the end, from the checkpoint if there is one; return the history, an entry a step."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.apply_pace()
    try:
        with deterministic():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        note_shortage(Path(str(trainer.args.output_dir)))
        raise GradsError(_shortage(label, trainer.step.pace)) from None
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def _save(model: Any, folder: Path, base: Base | None) -> None:
    if not isinstance(model, PeftModel):
        model.save_pretrained(folder)
        return
    config: Any = model.active_peft_config
    if not isinstance(config.target_modules, str):
        # A set, whose order is another in each process: equal runs are to write equal files.
        config.target_modules = sorted(config.target_modules)
    if base is not None:
        config.base_model_name_or_path = base.name
        config.revision = base.revision
    # PEFT would look for the base model, on the hub too, to learn whether its embedding was resized.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    # The model card that PEFT adds names folders of this machine.
    remove(folder / "README.md")


def _shortage(label: str, pace: Pace) -> str:
    """Return the sentence for a run that ran out of memory however little of it was taken."""
    found = f"{label}: memory ran out in training on one record at a time"
    if pace.checkpointing:
        return f"{found}: lower training.max_length, or see 'Out of memory' in docs/troubleshooting.md"
    return f"{found}: set training.checkpointing to auto, or lower training.max_length"


def _arguments(training: Training, visits: int, schedule: int, optimiser: str, scratch: Path, seed: int) -> Any:
    from transformers import TrainingArguments

    steps = optimiser_steps(visits, 1, training.global_batch)
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=1,
        # The trainer cuts it into micro-batches.
        per_device_train_batch_size=training.global_batch,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        # Rounded down: a warm-up step has rate 0, which would waste one of a short run's few steps.
        warmup_steps=int(training.warmup * schedule),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        optim=optimiser,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(20, -(-steps // 5)),
        save_total_limit=2,
        seed=seed,
        data_seed=seed,
        report_to=[],
        # Neither its bar nor, in a notebook, its table: progress is ours to say.
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=device().type == "cpu",
        dataloader_pin_memory=device().type == "cuda",
    )


def _summary(
    order: list[str],
    visits: list[Example],
    history: list[dict[str, Any]],
    training: Training,
    pace: Pace,
    seconds: float,
) -> dict[str, Any]:
    return {
        "records": len(set(order)),
        "visits": len(order),
        "epochs": training.epochs,
        "steps": len(history),
        "tokens": sum(len(e.input_ids) for e in visits),
        "response_tokens": sum(e.response_tokens for e in visits),
        "micro_batch": pace.micro_batch,
        "checkpointing": pace.checkpointing,
        "deviations": pace.deviations,
        "precision": chosen_precision(training.precision),
        "seconds": round(seconds, 3),
        "final_loss": history[-1]["loss"],
        "curve": [{k: entry[k] for k in ("step", "loss", "grad_norm", "learning_rate")} for entry in history],
    }


def _plan(cell: TrainingCell, material: Material, training: Training) -> dict[str, Any]:
    """Return how the cell was trained beyond the study's settings; epochs are counted where they follow from that."""
    order = material.order
    plan = {"strategy": cell.strategy, "match": cell.match, "notes": dict(material.notes)}
    if cell.own.stop is not None:
        steps = optimiser_steps(len(order), 1, training.global_batch)
        return plan | {"epochs": round(training.epochs * steps / material.schedule, 3)}
    return plan if cell.match == "epochs" else plan | {"epochs": round(len(order) / len(set(order)), 3)}
