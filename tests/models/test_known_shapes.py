"""Published shapes: each adds up to the number of parameters that its model card names."""

from pathlib import Path

import pytest
import yaml

from grads.config.models import Model
from grads.models.known_shapes import known_shapes, known_size

CONFIGS = [Path("config/paper_grads.yaml"), Path("config/paper_less.yaml")]
PUBLISHED = {"Llama-2-7b": 6.74, "Llama-2-13b": 13.02, "Qwen2.5-7B": 7.62, "Qwen2.5-14B": 14.77, "Mistral-7B": 7.24}


def model(id_):
    return Model.model_validate({"title": "Some", "source": {"kind": "hub", "id": id_, "revision": "main"}})


@pytest.mark.parametrize("id_", known_shapes())
def test_parameters_are_those_published(id_):
    billions = known_size(model(id_)).parameters / 1e9
    (family,) = {number for name, number in PUBLISHED.items() if id_.rpartition("/")[2].startswith(name)}
    assert round(billions, 2) == family == known_shapes()[id_]["parameters"]
    assert known_shapes()[id_]["source"]


def test_models_of_the_paper_configs_are_known():
    for config in CONFIGS:
        for declared in yaml.safe_load(config.read_text("utf-8"))["models"].values():
            assert known_size(model(declared["source"]["id"])), declared


def test_nothing_is_known_of_others():
    assert known_size(model("some/model")) is None
    tiny = Model.model_validate({"title": "Tiny", "source": {"kind": "tiny"}})
    assert known_size(tiny) is None
