"""Shapes of published models of the hub, by which jobs are planned before a model is fetched; once it is, its own
`config.json` counts.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from grads.config.models import Model
from grads.config.sources import HubSource
from grads.models.size import ModelSize, size_of_config

SHAPES = Path(__file__).with_suffix(".json")


@cache
def known_shapes() -> dict[str, dict[str, Any]]:
    """Return what is published of models, by their ids on the hub: `config`, `parameters` in billions and `source`."""
    found: dict[str, dict[str, Any]] = json.loads(SHAPES.read_text("utf-8"))
    return found


def known_size(model: Model) -> ModelSize | None:
    """Return the size of a model of the hub by its published shape; None where that is not known here."""
    if not isinstance(model.source, HubSource):
        return None
    known = known_shapes().get(model.source.id)
    return None if known is None else _size(model.source.id)


@cache
def _size(id_: str) -> ModelSize | None:
    return size_of_config(known_shapes()[id_]["config"])
