"""What other trainers call the keys of the config: a user who writes their names is pointed to ours."""

from collections.abc import Sequence
from functools import cache

# Our key, and what it is called elsewhere (transformers, TRL, PEFT, LLaMA-Factory, axolotl, torchtune, lm-eval).
ALIASES = {
    "study": ("name", "study_name", "run_name", "experiment", "experiment_name", "project"),
    "label": ("description", "note", "notes"),
    "seeds": ("seed", "random_seed", "random_state", "num_seeds", "n_seeds", "data_seed"),
    "models": ("model", "base_model", "model_name", "model_name_or_path", "model_id", "pretrained"),
    "domains": ("domain", "data", "dataset", "datasets", "dataset_path", "dataset_name", "train_file"),
    "arms": ("arm", "method", "methods", "runs", "selection", "selections", "strategies"),
    "splits": ("split", "val_set_size"),
    "splits.train": ("training", "train_size", "num_train", "max_train_samples", "max_samples"),
    "splits.validation": ("val", "valid", "dev", "eval", "val_size", "validation_size"),
    "splits.test": ("test_size", "num_test", "max_eval_samples"),
    "training": ("train", "trainer", "sft", "finetuning", "fine_tuning", "training_arguments", "hyperparameters"),
    "training.weights": ("finetuning_type", "use_lora", "use_peft", "tuning", "full_finetuning", "mode"),
    "training.adapter": ("lora", "peft", "peft_config", "lora_config"),
    "training.adapter.rank": ("r", "lora_r", "lora_rank", "lora_dim"),
    "training.adapter.alpha": ("lora_alpha",),
    "training.adapter.dropout": ("lora_dropout",),
    "training.adapter.targets": (
        *("target_modules", "lora_target", "lora_targets", "lora_target_modules", "lora_modules", "lora_attn_modules"),
    ),
    "training.epochs": ("num_epochs", "num_train_epochs", "n_epochs", "max_epochs", "epoch", "max_steps"),
    "training.global_batch": (
        *("batch", "batch_size", "global_batch_size", "train_batch_size", "per_device_train_batch_size", "mini_batch"),
        *("per_device_batch_size", "micro_batch", "micro_batch_size", "gradient_accumulation_steps"),
    ),
    "training.learning_rate": ("lr", "peak_lr", "max_lr", "learningrate", "rate"),
    "training.warmup": ("warmup_ratio", "warmup_steps", "warmup_fraction", "num_warmup_steps"),
    "training.weight_decay": ("wd", "decay", "l2"),
    "training.max_grad_norm": ("grad_clip", "gradient_clip", "gradient_clipping", "clip_grad_norm", "max_norm"),
    "training.max_length": (
        *("max_seq_length", "max_seq_len", "max_sequence_length", "seq_length", "seq_len", "sequence_len", "ctx_len"),
        *("sequence_length", "model_max_length", "cutoff_len", "block_size", "context_length", "max_tokens"),
    ),
    "training.over_length": ("truncation", "truncate", "overlength"),
    "training.precision": ("dtype", "torch_dtype", "bf16", "fp16", "mixed_precision", "compute_type"),
    "generation.max_new_tokens": ("max_gen_toks", "max_generation_tokens", "max_output_tokens", "new_tokens"),
    "evaluation": ("eval", "evaluate", "metrics_config"),
    "evaluation.metrics": ("metric", "domain_metrics"),
    "evaluation.token_budget": ("eval_batch_size", "per_device_eval_batch_size"),
    "general": ("benchmarks", "benchmark", "tasks", "forgetting"),
    "general.tasks.<task>.few_shot": ("num_fewshot", "n_shot", "shots", "fewshot"),
    "general.tasks.<task>.sample": ("limit", "num_samples"),
    "general.allow_code": ("confirm_run_unsafe_code", "unsafe_code", "trust_remote_code"),
    "arms.<arm>.ratios": ("ratio", "keep_ratio", "keep_ratios", "fraction", "fractions", "budget", "top_k", "percent"),
    "arms.<arm>.parameters": ("params", "args", "kwargs", "method_parameters", "options"),
    "domains.<domain>.fields": ("columns", "column_mapping", "column_names", "field_names", "keys"),
    "domains.<domain>.source": ("path", "file", "source_path"),
    "models.<model>.format": ("chat", "prompt_format"),
    "models.<model>.format.template": ("chat_template", "prompt_template"),
    "models.<model>.format.system": ("system_prompt", "system_message", "default_system"),
}


def known_as(name: str, valid: Sequence[str], place: Sequence[str]) -> str | None:
    """Return a hint for a name that others give one of our keys, or that is a key of another section; None if neither.

    Args:
        name: what was written.
        valid: the keys that are allowed where it was written.
        place: the keys that lead there.
    """
    called = name.lower().replace("-", "_")
    if called in valid:
        return f"did you mean '{called}'?"
    ours = [key for key, others in ALIASES.items() if called in others]
    # A key of the same section is meant before one of another.
    here = [key for key in ours if key.rpartition(".")[2] in valid and _under(key, place)]
    for key in here:
        return f"it is called '{key.rpartition('.')[2]}' here"
    for key in ours or _elsewhere().get(called, []):
        return f"write it as '{key}'"
    return None


def _under(key: str, place: Sequence[str]) -> bool:
    """Whether a key of the reference, such as `arms.<arm>.ratios`, may stand at a place."""
    parts = key.split(".")[:-1]
    return len(parts) == len(place) and all(
        part.startswith("<") or part == other for part, other in zip(parts, place, strict=True)
    )


@cache
def _elsewhere() -> dict[str, list[str]]:
    """Return for each key that only one section has where that is."""
    from grads.config.schema import all_keys

    places: dict[str, list[str]] = {}
    for path in all_keys():
        places.setdefault(path.rpartition(".")[2], []).append(path)
    return {name: paths for name, paths in places.items() if len(paths) == 1}
