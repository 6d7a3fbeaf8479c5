"""Settings that do not fit a model, told by its files before it is prepared."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from grads.config.probe import Probe
from grads.config.study import Study
from grads.config.training import Training
from grads.models.size import ModelSize, model_size, read_size
from grads.runtime.errors import GradsError, nearest

# In front of a module's name in the file may stand the model's own, and what an adapter adds.
PREFIXES = tuple(outer + inner for outer in ("", "base_model.model.") for inner in ("", "model.", "transformer."))


def check_shapes(study: Study) -> None:
    """Refuse settings that do not fit a study's models, as far as these are known before any work.

    Raises:
        GradsError: all that is found.
    """
    found = {f"model '{name}'": model_size(model) for name, model in study.every_model.items()}
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
    shape = read_size(path) if path.is_dir() else None
    shapes = {str(path): shape} if shape else {}
    if problems := [*_probe_problems(shapes, probe), *_target_problems(shapes, training)]:
        raise GradsError(*problems)


def _probe_problems(shapes: Mapping[str, ModelSize], probe: Probe) -> list[str]:
    problems = []
    for title, shape in shapes.items():
        if probe.hidden_layer is not None and probe.hidden_layer > shape.layers:
            problems.append(
                f"probe.hidden_layer is {probe.hidden_layer}, and {title} has {shape.layers} layers: choose one of them"
            )
        known = [matrix.module for matrix in shape.linear] or shape.modules
        names = [prefix + name for name in shape.modules for prefix in PREFIXES]
        problems += [
            f"probe.features.modules: no layer of {title} matches '{pattern}': write a pattern of whole names, such as "
            f"'*.{known[-1].rpartition('.')[2]}', or ['*']"
            for pattern in probe.features.modules
            if names and not any(fnmatchcase(name, pattern) for name in names)
        ]
    return problems


def _target_problems(shapes: Mapping[str, ModelSize], training: Training) -> list[str]:
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
