"""Low-rank adapters (LoRA): new ones, and trained ones that are put on a model whole or not at all."""

import json
import math
import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from grads.config.training import Adapter
from grads.models.checkpoint import ADAPTER, FLOATS, Stored, listed, read_header, reason_of, refuse_nonfinite, sized
from grads.runtime.errors import GradsError

WEIGHTS = "adapter_model.safetensors"
AGAIN = "run its training again"
# Keys of PEFT's config that say what a plain LoRA path computes, and those that shape no computation.
SHAPES = {"r", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern"}
SHAPES |= {"lora_alpha", "alpha_pattern", "use_rslora", "lora_dropout", "fan_in_fan_out", "init_lora_weights"}
UNREAD = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"}
UNREAD |= {"inference_mode", "megatron_core", "qalora_group_size", "runtime_config", "eva_config", "lora_ga_config"}
# Starts that leave the model's own weights as they are; others take a part out of them.
STARTS = (True, False, "gaussian", "orthogonal", "eva")
TASKS = (None, "CAUSAL_LM")


def fresh_adapter(model: torch.nn.Module, adapter: Adapter, seed: int) -> Any:
    """Return a PEFT model with a trainable float32 adapter on frozen weights: A random by `seed`, B zero.

    Raises:
        GradsError: the adapter's targets are not linear layers of the model.
    """
    from peft import LoraConfig, get_peft_model

    if not isinstance(adapter.targets, str):
        _refuse_fewer_layers(adapter.targets, model, "training.adapter.targets")
    torch.manual_seed(seed)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # fractions are fine
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise GradsError(f"training.adapter.targets: {error}") from None


def trained_adapter(model: nn.Module, folder: Path, dropout: float | None = None) -> Any:
    """Return a PEFT model with the adapter that a folder holds, in float32, on frozen weights.

    Args:
        model: the model that it was trained on.
        folder: `adapter_config.json` and `adapter_model.safetensors`.
        dropout: makes it trainable, with this dropout, whatever it was trained with; without, it is for evaluation.

    Raises:
        GradsError: see `read_adapter` and `check_fit`.
    """
    adapter = read_adapter(folder)
    check_fit(adapter, skeleton_of(model))
    return put_on(model, adapter, dropout)


@dataclass(frozen=True)
class TrainedAdapter:
    """An adapter in a folder.

    Attributes:
        folder: where it is.
        config: PEFT's LoRA config.
        stored: what its file of weights holds, by name.
    """

    folder: Path
    config: Any
    stored: Mapping[str, Stored]

    def tensors(self) -> dict[str, Tensor]:
        """Return its weights by name, on the CPU."""
        from safetensors.torch import load_file

        return load_file(self.folder / WEIGHTS)


def read_adapter(folder: Path) -> TrainedAdapter:
    """Return the adapter that a folder holds; only that folder is looked into, whatever its config names.

    Raises:
        GradsError: a file is missing or damaged, it is no plain LoRA adapter, or its weights are no numbers.
    """
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        found = "holds its weights as a pickle (adapter_model.bin), which is never loaded" if pickled else "has none"
        raise GradsError(f"{folder} {found}: give an adapter with {WEIGHTS}, or run its training again")
    adapter = TrainedAdapter(folder, config, read_header(folder / WEIGHTS))
    if coarse := [f"{name} ({one.dtype})" for name, one in adapter.stored.items() if one.dtype not in FLOATS]:
        raise GradsError(f"{folder / WEIGHTS} holds {listed(coarse)}, no plain floating-point weights: {AGAIN}")
    refuse_nonfinite(folder / WEIGHTS, adapter.tensors().items())
    return adapter


def check_fit(adapter: TrainedAdapter, skeleton: nn.Module) -> None:
    """Refuse an adapter that is not a whole one of a model.

    Args:
        adapter: as it was read.
        skeleton: the model, on the meta device; the adapter's layers are put into it.

    Raises:
        GradsError: its config names layers that the model has not, or weights are missing, unexpected or of other
            sizes.
    """
    from peft import get_peft_model_state_dict

    path = adapter.folder / ADAPTER
    if not isinstance(adapter.config.target_modules, str):
        _refuse_fewer_layers(adapter.config.target_modules or (), skeleton, f"{path}: target_modules")
    try:
        with torch.random.fork_rng(devices=[]):
            model = _wrapped(skeleton, deepcopy(adapter.config), trainable=False)
    # Nothing is computed and no memory is taken: what is left are the config's values, and what a wrong one makes PEFT
    # raise has no class in common.
    except Exception as error:
        raise GradsError(
            f"{path} describes no adapter of this model ({reason_of(error)}): give one that was trained on it"
        ) from None
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    found = {name: one.shape for name, one in adapter.stored.items()}
    faults = []
    if missing := expected.keys() - found.keys():
        faults.append(f"it lacks {listed(missing)}")
    if unexpected := found.keys() - expected.keys():
        faults.append(f"it holds {listed(unexpected)}, which such an adapter has not")
    other = [name for name in expected.keys() & found.keys() if found[name] != expected[name]]
    if sizes := [f"{name} ({sized(found[name])} for {sized(expected[name])})" for name in other]:
        faults.append(f"of other sizes are {listed(sizes)}")
    if faults:
        raise GradsError(
            f"{adapter.folder / WEIGHTS} is not a whole adapter of this model by its {ADAPTER}: {'; '.join(faults)}; "
            "give the model and the adapter that belong together, or run its training again"
        )


def _refuse_fewer_layers(targets: Collection[str], model: nn.Module, place: str) -> None:
    """Refuse an adapter on all of a model's first layers and none of the last: one of a model with fewer layers.

    PEFT writes `all-linear` out as the full names of the layers, which a larger model has, too.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    by_layer: dict[int, list[bool]] = {}
    for name in linear:
        if found := re.search(r"\.(\d+)\.", name):
            by_layer.setdefault(int(found[1]), []).append(name in targets)
    whole = [layer for layer, adapted in by_layer.items() if all(adapted)]
    bare = [layer for layer, adapted in by_layer.items() if not any(adapted)]
    if whole and bare and len(whole) + len(bare) == len(by_layer) and max(whole) < min(bare):
        raise GradsError(
            f"{place} names all linear layers of the first {len(whole)} of {len(by_layer)} decoder layers, as an "
            "adapter of a smaller model does: give the model and the adapter that belong together"
        )


def put_on(model: nn.Module, adapter: TrainedAdapter, dropout: float | None = None) -> Any:
    """Return a PEFT model with an adapter that `check_fit` let pass; see `trained_adapter`.

    PEFT's own loading would fill in what is missing.
    """
    from peft import set_peft_model_state_dict

    config = deepcopy(adapter.config)
    trainable = dropout is not None
    # What it names as its model may be a name of the hub, where PEFT would look for it whenever it saves.
    config.base_model_name_or_path = getattr(model, "name_or_path", None)
    config.revision = None
    if dropout is not None:
        config.lora_dropout = dropout
    adapted = _wrapped(model, config, trainable)
    set_peft_model_state_dict(adapted, adapter.tensors())
    return adapted if trainable else adapted.eval()


def skeleton_of(model: Any) -> nn.Module:
    """Return a transformers model like another, without memory for its weights (on the meta device)."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return type(model)(deepcopy(model.config))


def _wrapped(model: nn.Module, config: Any, trainable: bool) -> Any:
    from peft import PeftModel, PeftModelForCausalLM

    config.inference_mode = not trainable
    kind: Any = PeftModelForCausalLM if config.task_type == "CAUSAL_LM" else PeftModel
    return kind(model, config)


def _read_config(folder: Path) -> Any:
    """Return PEFT's config of a plain LoRA adapter."""
    from peft import LoraConfig

    path = folder / ADAPTER
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise GradsError(f"{path} is not there: give a folder that holds an adapter") from None
    except (ValueError, RecursionError) as error:
        raise GradsError(f"{path} is not a JSON object ({error}): {AGAIN}") from None
    if not isinstance(values, dict):
        raise GradsError(f"{path} is not a JSON object: {AGAIN}")
    if values.get("peft_type") != "LORA":
        raise GradsError(
            f"{path}: peft_type {values.get('peft_type')!r} is another kind of adapter, and only LORA is known here: "
            "train one with LoRA"
        )
    _check_values(path, values)
    defaults = LoraConfig().to_dict()
    for key in sorted(values.keys() - SHAPES - UNREAD):
        # What an older or newer PEFT knows is no matter where it is left empty.
        if values[key] != defaults.get(key) and values[key] not in (None, False, [], {}):
            raise GradsError(
                f"{path}: {key} {values[key]!r} makes more of the model than a plain LoRA path, and that is not known "
                "here: train one without, or merge it into the model and give that"
            )
    known = {key: value for key, value in values.items() if key in defaults and key not in {"runtime_config"}}
    try:
        return LoraConfig(**known)
    except (ValueError, TypeError) as error:
        raise GradsError(f"{path} describes no LoRA adapter ({reason_of(error)}): correct it, or {AGAIN}") from None


def _check_values(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse values that PEFT takes as they are and fails on later, or silently computes something else by."""
    start = values.get("init_lora_weights", True)
    task = values.get("task_type")
    if not any(start is known or (isinstance(known, str) and start == known) for known in STARTS):
        raise GradsError(
            f"{path}: init_lora_weights {start!r} takes a part out of the model's own weights: convert the adapter to "
            "a plain one (PEFT's path_initial_model_for_weight_conversion), or train one from another start"
        )
    if task not in TASKS:
        raise GradsError(f"{path}: task_type {task!r} is not that of a causal language model: train one with CAUSAL_LM")
    rules = {
        "r": ("a whole number above 0", _is_rank),
        "lora_alpha": ("a number above 0", lambda value: _is_number(value) and value > 0),
        "lora_dropout": ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
        "rank_pattern": ("ranks by names of layers", lambda value: _is_mapping(value, _is_rank)),
        "alpha_pattern": ("numbers by names of layers", lambda value: _is_mapping(value, _is_number)),
        "use_rslora": ("true or false", lambda value: isinstance(value, bool)),
        "target_modules": ("names of layers", _is_names),
    }
    for key, (wanted, fits) in rules.items():
        if key in values and not fits(values[key]):
            raise GradsError(f"{path}: {key} is {values[key]!r}, not {wanted}: correct it, or {AGAIN}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_mapping(value: Any, fits: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(fits(one) for one in value.values()))


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))
