"""Whether a folder of weights is whole: all that a model of its config has, of its sizes, and nothing else.

A model is built without memory for its weights (on torch's meta device) and given the checkpoint's tensors in name and
shape alone, by transformers' own loading: which tensors a class ties, renames or may lack is its own knowledge. That
takes a fraction of a second and reads headers only. Whether all weights are numbers takes reading them, once.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from grads.runtime.errors import GradsError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
# What weights are stored as, in the names of safetensors.
FLOATS = {"F16", "BF16", "F32", "F64"}
# Layers that a model is built with, whatever its files hold, so that what is missing can be named.
MOST_LAYERS = 1000
# How many names a sentence shows.
SHOWN = 3

Kind = Literal["model", "encoder"]


@dataclass(frozen=True)
class Stored:
    """A tensor in a file of weights: its shape and type, as the header says."""

    shape: tuple[int, ...]
    dtype: str


def check_checkpoint(folder: Path, kind: Kind = "model", place: Path | str | None = None) -> nn.Module:
    """Refuse a folder of weights that is not a whole model; return that model without memory for its weights.

    Args:
        folder: what `save_pretrained` wrote.
        kind: a causal language model, or an encoder, whose pooling layer and heads are not used.
        place: what sentences call the folder, if not by its path.

    Raises:
        GradsError: a file is missing or damaged; weights are missing, unexpected, of other sizes, or integers; or
            transformers cannot build what the config describes.
    """
    place = place or folder
    if (folder / ADAPTER).is_file():
        raise GradsError(
            f"{place} holds an adapter ({ADAPTER}), which is no part of a model: give the model that it was trained "
            "on, or merge the two and save that"
        )
    config = _read_config(folder, kind, place)
    if "transformers_weights" in config:
        raise GradsError(
            f"{place}/config.json names its weights ('transformers_weights'), and only {SINGLE} and {INDEX} are read: "
            "save_pretrained the model again"
        )
    stored = stored_tensors(folder, place)
    _refuse_many_layers(config, len(stored), place)
    # Building draws what would be the start of weights, if there were any.
    with torch.random.fork_rng(devices=[]):
        skeleton, info = _skeleton(folder, kind, place, config.get("quantization_config"))
    refuse_partial(f"{place}", info, stored, skeleton if kind == "encoder" else None)
    _refuse_integers(place, stored, skeleton)
    return skeleton


def weight_files(folder: Path, place: Path | str | None = None) -> list[Path]:
    """Return the files that a model's weights are in: one, or the shards that an index names.

    Raises:
        GradsError: there are none, or the index is damaged, or names files that are not there or lie elsewhere.
    """
    place = place or folder
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise GradsError(f"{place} {_instead(folder)}: save_pretrained the model there as safetensors")
    names = sorted(set(_weight_map(folder, place).values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise GradsError(
                f"{place}/{INDEX} names '{name}', which is no .safetensors file of its own folder: save_pretrained the "
                "model again"
            )
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise GradsError(f"{place} lacks {listed(absent)}, which its {INDEX} names: copy or download the model again")
    return [folder / name for name in names]


def stored_tensors(folder: Path, place: Path | str | None = None) -> dict[str, Stored]:
    """Return what a model's files of weights hold, by name, from their headers.

    Raises:
        GradsError: see `weight_files`; a file is damaged; or the index and its shards do not fit.
    """
    place = place or folder
    files = weight_files(folder, place)
    headers = {path.name: read_header(path, f"{place}/{path.name}") for path in files}
    counts = Counter(name for header in headers.values() for name in header)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise GradsError(f"{place} holds {listed(twice)} in two files: save_pretrained the model again")
    if len(files) > 1 or files[0].name != SINGLE:
        lacking = [name for name, file in _weight_map(folder, place).items() if name not in headers[file]]
        if lacking:
            raise GradsError(
                f"{place}/{INDEX} names {listed(lacking)}, which the files do not hold: copy or download the model "
                "again"
            )
    return {name: tensor for header in headers.values() for name, tensor in header.items()}


def read_header(path: Path, place: Path | str | None = None) -> dict[str, Stored]:
    """Return what a safetensors file holds, by name; its header and its length are read alone.

    Raises:
        GradsError: the file was cut or is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return {name: Stored(tuple(one.get_shape()), str(one.get_dtype())) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise GradsError(f"{place or path} is no whole safetensors file ({error}): copy or download it again") from None


def refuse_partial(
    place: str,
    info: Mapping[str, Collection[Any]],
    stored: Mapping[str, Stored] | None = None,
    encoder: nn.Module | None = None,
) -> None:
    """Refuse what transformers' `output_loading_info` calls missing, unexpected or mismatched.

    Constants that older versions stored, such as causal masks, may be there. Of an encoder the pooling layer may be
    missing, and heads may be there: neither is used.

    Args:
        place: opens the sentence.
        info: the loading info.
        stored: what the checkpoint holds, by name.
        encoder: the model, if it is one.

    Raises:
        GradsError: it names the tensors.
    """
    missing = set(info["missing_keys"])
    unexpected = set(info["unexpected_keys"])
    unexpected = {name for name in unexpected if not _constant(name, (stored or {}).get(name))}
    if encoder is not None:
        missing = {name for name in missing if "pooler" not in name.split(".")}
        unexpected = {name for name in unexpected if _inside(name, encoder)}
    faults = []
    if missing:
        faults.append(f"it lacks {listed(missing)}")
    if unexpected:
        faults.append(f"it holds {listed(unexpected)}, which such a model has not")
    if mismatched := sorted(info["mismatched_keys"]):
        sizes = [f"{name} ({sized(found)} for {sized(expected)})" for name, found, expected in mismatched]
        faults.append(f"of other sizes than its config says are {listed(sizes)}")
    if faults:
        raise GradsError(
            f"{place} is not a whole model: {'; '.join(faults)}; copy, download or save_pretrained it again, or "
            "correct its config"
        )


def finite(tensor: Tensor) -> Tensor:
    """Return whether all entries are numbers, as a tensor of one truth value where they are: nothing waits for it."""
    if not tensor.numel() or not tensor.is_floating_point():
        return torch.ones((), dtype=torch.bool, device=tensor.device)
    lowest, highest = torch.aminmax(tensor.detach())
    return lowest.isfinite() & highest.isfinite()


def refuse_nonfinite(place: Path | str, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        GradsError: it names the tensors.
    """
    found = {name: finite(tensor) for name, tensor in tensors}
    if bad := [name for name, fine in found.items() if not fine]:
        raise GradsError(
            f"{place} holds NaN or infinity in {listed(bad)}: such weights say nothing, give another checkpoint"
        )


def refuse_nonfinite_files(folder: Path, place: Path | str | None = None) -> None:
    """Refuse a folder whose weights hold NaN or infinity; one tensor is in memory at a time.

    Raises:
        GradsError: it names the tensors.
    """
    for path in weight_files(folder, place):
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if str(file.get_slice(name).get_dtype()) in FLOATS]  # noqa: SIM118
            refuse_nonfinite(f"{place or folder}", ((name, file.get_tensor(name)) for name in names))


def refuse_other_tokens(tokenizer: Any, rows: int, place: Path | str) -> None:
    """Refuse a tokenizer with ids beyond a model's embedding of so many rows.

    Raises:
        GradsError: it names the tokens.
    """
    if beyond := [f"{index} ({token!r})" for token, index in tokenizer.get_vocab().items() if index >= rows]:
        raise GradsError(
            f"the tokenizer in {place} has the ids {listed(beyond)} beyond the {rows:,} tokens of the model's "
            "embedding: take the tokenizer that belongs to the model, or resize the embedding and train it"
        )


def listed(names: Iterable[str]) -> str:
    """Return a few of some names, and how many there are if not all are shown."""
    found = sorted(names)
    shown = ", ".join(found[:SHOWN])
    return shown if len(found) <= SHOWN else f"{shown} and {len(found) - SHOWN:,} more"


def sized(shape: Iterable[int]) -> str:
    """Return a tensor's sizes as text."""
    return " x ".join(map(str, shape)) or "1"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' report of a loading off the screen: what is in it is refused by a sentence of ours."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the sizes of a model's tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _skeleton(
    folder: Path, kind: Kind, place: Path | str, quantised: Any
) -> tuple[nn.Module, Mapping[str, Collection[Any]]]:
    """Return the model of a folder on the meta device, and the report of its loading."""
    from transformers import AutoModel, AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM if kind == "model" else AutoModel
    options = {"local_files_only": True, "use_safetensors": True, "ignore_mismatched_sizes": True}
    try:
        with quiet():
            return auto.from_pretrained(str(folder), device_map="meta", output_loading_info=True, **options)
    # The files are there and whole: what is left is the config, and what a wrong value in it makes transformers raise,
    # on building a model of nothing, has no class in common.
    except Exception as error:
        if quantised is not None:
            raise GradsError(
                f"{place} holds quantised weights (quantization_config in its config.json) that cannot be read here "
                f"({reason_of(error)}): give the model without quantisation, or a GGUF"
            ) from None
        raise GradsError(
            f"{place}/config.json describes no model that can be built of its weights ({reason_of(error)}): correct "
            "it, or choose another model"
        ) from None


def reason_of(error: BaseException) -> str:
    """Return an error's class and what it says, in one line."""
    said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return f"{type(error).__name__}: {said[:300]}"


def _refuse_many_layers(config: Mapping[str, Any], tensors: int, place: Path | str) -> None:
    """Refuse a config of more layers than there are tensors: a model of a million layers would be built for hours."""
    for key in ("num_hidden_layers", "n_layer", "num_layers"):
        layers = config.get(key)
        if isinstance(layers, int) and layers > max(tensors, MOST_LAYERS):
            raise GradsError(
                f"{place} is not a whole model: its config.json has {key} {layers:,}, and its files hold {tensors:,} "
                "tensors; correct one or the other"
            )


def _refuse_integers(place: Path | str, stored: Mapping[str, Stored], skeleton: Any) -> None:
    """Refuse weights stored as integers or in 8 bits: cast to numbers, without their scales, they would be others."""
    if getattr(skeleton, "hf_quantizer", None) is not None:
        return
    prefix = f"{skeleton.base_model_prefix}."
    own = {name for name, _ in skeleton.named_parameters()}
    coarse = [
        f"{name} ({tensor.dtype})"
        for name, tensor in stored.items()
        if tensor.dtype not in FLOATS
        and (name.endswith(".weight") or own & {name, prefix + name, name.removeprefix(prefix)})
    ]
    if coarse:
        raise GradsError(
            f"{place} holds {listed(coarse)}, which are no plain floating-point weights, and its config.json does "
            "not say how they were quantised: save_pretrained the model again in float32, float16 or bfloat16"
        )


def _constant(name: str, tensor: Stored | None) -> bool:
    """Return whether a tensor is a causal mask, or the number that masks, which older versions stored with weights."""
    if tensor is None or name.rpartition(".")[2] not in {"bias", "masked_bias", "causal_mask"}:
        return False
    return len(tensor.shape) == 4 or prod(tensor.shape) == 1


def _inside(name: str, encoder: Any) -> bool:
    """Return whether a tensor's name is one of an encoder's own parts, and not of a head on it."""
    prefix = f"{encoder.base_model_prefix}."
    first = name.removeprefix(prefix).partition(".")[0]
    return first in {part for part, _ in encoder.named_children()} and "pooler" not in name.split(".")


def _read_config(folder: Path, kind: Kind, place: Path | str) -> dict[str, Any]:
    """Return the config of a model that transformers itself knows."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES

    if not (folder / "config.json").is_file():
        raise GradsError(f"{place} has no config.json: give a folder that save_pretrained wrote")
    config = _read_object(folder / "config.json", f"{place}/config.json")
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if kind == "model" else MODEL_MAPPING_NAMES
    found = config.get("model_type")
    if not isinstance(found, str) or found not in known:
        wanted = "causal language model" if kind == "model" else "model"
        raise GradsError(
            f"{place}/config.json: model_type '{found}' is no {wanted} of transformers itself, and "
            f"code that comes with a model is never run: choose another {kind}"
        )
    return config


def _instead(folder: Path) -> str:
    """Return what a folder without a model's safetensors holds."""
    if (folder / ADAPTER).is_file():
        return f"holds an adapter ({ADAPTER}) and no model"
    found = [path.name for path in sorted(folder.iterdir())]
    if pickles := [name for name in found if Path(name).suffix in {".bin", ".pt", ".pth", ".pkl"}]:
        return f"holds its weights as a pickle ({pickles[0]}), which is never loaded"
    if others := [name for name in found if name.endswith(".safetensors")]:
        return f"holds {listed(others)}, but neither {SINGLE} nor {INDEX}"
    return "holds no weights"


def _weight_map(folder: Path, place: Path | str) -> dict[str, str]:
    """Return the file of each tensor, as the index says."""
    index = _read_object(folder / INDEX, f"{place}/{INDEX}")
    files = index.get("weight_map")
    if not isinstance(files, dict) or not files or not isinstance(index.get("metadata"), dict):
        raise GradsError(f"{place}/{INDEX} has no 'weight_map' or no 'metadata': save_pretrained the model again")
    if strange := [repr(name) for name in files.values() if not isinstance(name, str)]:
        raise GradsError(f"{place}/{INDEX} names {listed(strange)} as files: save_pretrained the model again")
    return files


def _read_object(path: Path, place: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise GradsError(f"{place} is not a JSON object ({error}): save_pretrained the model again") from None
    if not isinstance(value, dict):
        raise GradsError(f"{place} is not a JSON object: save_pretrained the model again")
    return value
