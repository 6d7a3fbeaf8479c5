"""The device of a process and its number types."""

from typing import get_args

import pytest
import torch

from grads.config.section import Precision
from grads.models import device as module
from grads.models.device import DTYPES, chosen_precision, device, dtype


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_device_is_the_one_that_is_visible(monkeypatch, there, kind):
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: there)
    # Without a number: the slot of this process has left one device visible.
    assert device() == torch.device(kind)


def test_every_precision_of_the_config_has_a_type():
    named = {name: dtype(name) for name in get_args(Precision) if name != "auto"}
    assert named == {"bf16": torch.bfloat16, "float32": torch.float32}


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "float32")])
def test_auto_is_bf16_where_the_processor_computes_in_it(monkeypatch, native, expected):
    monkeypatch.setattr(module, "computes_in_bf16", lambda: native)
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: False)
    assert chosen_precision("auto") == expected
    assert dtype("auto") is DTYPES[expected]
    assert [chosen_precision(name) for name in ("bf16", "float32")] == ["bf16", "float32"]


def test_another_precision_has_none():
    with pytest.raises(KeyError):
        dtype("float16")
