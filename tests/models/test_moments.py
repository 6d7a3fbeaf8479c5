import pytest
import torch

from grads.config.training import Adapter
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model
from grads.models.moments import initial_moments, load_moments, write_moments
from grads.runtime.errors import GradsError


@pytest.fixture
def trained(tiny_model_folder):
    """An adapter after three steps of AdamW."""
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2, targets=["q_proj", "down_proj"]), 0)
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=1e-2, betas=(0.8, 0.99), eps=1e-6)
    ids = torch.arange(20).view(2, 10)
    for _ in range(3):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    return model, optimizer


def test_moments_come_back_by_the_names_of_the_adapted_modules(tmp_path, trained):
    model, optimizer = trained
    write_moments(tmp_path / "moments.safetensors", model, optimizer)
    moments = load_moments(tmp_path / "moments.safetensors")
    assert (moments.steps, moments.betas, moments.epsilon) == (3, (0.8, 0.99), 1e-6)
    expected = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            expected[f"{name}.lora_A"] = optimizer.state[module.lora_A["default"].weight]
            expected[f"{name}.lora_B"] = optimizer.state[module.lora_B["default"].weight]
    assert len(expected) == 2 * 2 * 2
    assert moments.average.keys() == moments.average_squared.keys() == expected.keys()
    for name, state in expected.items():
        assert torch.equal(moments.average[name], state["exp_avg"])
        assert torch.equal(moments.average_squared[name], state["exp_avg_sq"])
        assert moments.average_squared[name].max() > 0


def test_before_the_first_step_they_are_those_of_a_new_optimiser(trained):
    model, _ = trained
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=0.0)
    defaults, moments = optimizer.defaults, initial_moments(model)
    assert (moments.steps, moments.betas, moments.epsilon) == (0, defaults["betas"], defaults["eps"])
    assert [part.shape for part in moments.average.values()] == [parameter.shape for parameter in wanted]
    assert not any(part.any() for part in (*moments.average.values(), *moments.average_squared.values()))


def test_moments_of_all_weights_are_refused(tmp_path, tiny_model_folder):
    model = load_model(tiny_model_folder, "float32")
    with pytest.raises(GradsError, match=r"moments are kept of a LoRA adapter only.*set training\.weights to lora"):
        write_moments(tmp_path / "moments.safetensors", model, torch.optim.AdamW(model.parameters()))
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_moments_is_named(tmp_path):
    for path, content in ((tmp_path / "absent", None), (tmp_path / "broken", b"no safetensors")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(
            GradsError, match=rf"{path} holds no moments of an adapter .*: run its preliminary epoch again"
        ):
            load_moments(path)
