"""What a model is made of, as its files say it: known before torch is imported, and before the model is loaded."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from grads.config.models import Model
from grads.config.probe import Probe
from grads.config.sources import HubSource, TinySource
from grads.config.study import Study
from grads.config.training import Training
from grads.runtime.errors import GradsError, nearest
from grads.study.paths import hub_path

LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, at most."""
# In front of a module's name in the file may stand the model's own, and what an adapter adds.
PREFIXES = tuple(outer + inner for outer in ("", "base_model.model.") for inner in ("", "model.", "transformer."))


@dataclass(frozen=True)
class ModelShape:
    """A model's decoder layers, the longest sequence it has positions for, and its modules that have matrices."""

    layers: int | None
    positions: int | None
    modules: tuple[str, ...]


def read_shape(folder: Path) -> ModelShape | None:
    """Return what a `save_pretrained` folder says of itself; None where it cannot be told.

    What is wrong with the folder is said when the model is prepared.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        tensors = [name for path in sorted(folder.glob("*.safetensors")) for name in _matrices(path)]
    except (OSError, ValueError, struct.error):
        return None
    if not isinstance(config, Mapping):
        return None
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else config
    layers = text.get("num_hidden_layers", text.get("n_layer"))
    positions = text.get("max_position_embeddings", text.get("n_positions"))
    names = tuple(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    return ModelShape(
        layers if isinstance(layers, int) else None, positions if isinstance(positions, int) else None, names
    )


def _matrices(path: Path) -> list[str]:
    """Return the names of a safetensors file's tensors of two dimensions or more; only its header is read."""
    with path.open("rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        if length > LONGEST_HEADER:
            raise ValueError("no safetensors file")
        header = json.loads(handle.read(length))
    return [name for name, tensor in header.items() if len(tensor.get("shape", ())) > 1]


def _tiny_shape(source: TinySource) -> ModelShape:
    parts = [f"self_attn.{letter}_proj" for letter in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
    names = [f"model.layers.{layer}.{part}" for layer in range(source.layers) for part in parts]
    return ModelShape(source.layers, 1024, tuple(names))


def shape_of(model: Model) -> ModelShape | None:
    """Return what is known of a model of the config before it is prepared; None where nothing is."""
    if isinstance(model.source, TinySource):
        return _tiny_shape(model.source)
    folder = hub_path(model.source) if isinstance(model.source, HubSource) else getattr(model.source, "path", None)
    return read_shape(Path(folder)) if folder and Path(folder).is_dir() else None


def check_shapes(study: Study) -> None:
    """Refuse settings that do not fit a study's models, as far as these are known before any work.

    Raises:
        GradsError: all that is found.
    """
    found = {f"model '{name}'": shape_of(model) for name, model in study.every_model.items()}
    shapes = {title: shape for title, shape in found.items() if shape}
    problems = _probe_problems(shapes, study.probe)
    if len(shapes) == len(found):
        problems += _target_problems(shapes, study.training)
    limit = study.generation.max_new_tokens
    problems += [
        f"generation.max_new_tokens is {limit}, and {title} has room for {shape.positions} tokens, question and all: "
        "set fewer"
        for title, shape in shapes.items()
        if shape.positions and limit >= shape.positions
    ]
    if problems:
        raise GradsError(*problems)


def check_shape(path: Path, training: Training, probe: Probe) -> None:
    """Refuse settings that do not fit the model in a folder, as far as its files say.

    Raises:
        GradsError: all that is found.
    """
    shape = read_shape(path) if path.is_dir() else None
    shapes = {str(path): shape} if shape else {}
    if problems := [*_probe_problems(shapes, probe), *_target_problems(shapes, training)]:
        raise GradsError(*problems)


def _probe_problems(shapes: Mapping[str, ModelShape], probe: Probe) -> list[str]:
    problems = []
    for title, shape in shapes.items():
        if probe.hidden_layer is not None and shape.layers is not None and probe.hidden_layer > shape.layers:
            problems.append(
                f"probe.hidden_layer is {probe.hidden_layer}, and {title} has {shape.layers} layers: choose one of them"
            )
        names = [prefix + name for name in shape.modules for prefix in PREFIXES]
        problems += [
            f"probe.features.modules: no layer of {title} matches '{pattern}': write a pattern of whole names, such as "
            f"'*.{shape.modules[0].rpartition('.')[2]}', or ['*']"
            for pattern in probe.features.modules
            if names and not any(fnmatchcase(name, pattern) for name in names)
        ]
    return problems


def _target_problems(shapes: Mapping[str, ModelShape], training: Training) -> list[str]:
    """Return which targets of an adapter no model has, and which model has none of them.

    PEFT itself passes over a target that is not there as long as another is.
    """
    targets = training.adapter.targets
    if training.weights != "lora" or targets == "all-linear" or not all(shape.modules for shape in shapes.values()):
        return []
    hits = {
        title: {target for target in targets if any(f".{name}".endswith(f".{target}") for name in shape.modules)}
        for title, shape in shapes.items()
    }
    known = sorted({name.rpartition(".")[2] for shape in shapes.values() for name in shape.modules})
    problems = [
        f"training.adapter.targets: {title} has none of {', '.join(targets)}: add a layer of it"
        for title, hit in hits.items()
        if not hit and len(hits) > 1
    ]
    nowhere = [target for target in targets if hits and not any(target in hit for hit in hits.values())]
    return problems + [
        f"training.adapter.targets: there is no layer '{target}' in {', '.join(shapes)}: {nearest(target, known)}"
        for target in nowhere
    ]
