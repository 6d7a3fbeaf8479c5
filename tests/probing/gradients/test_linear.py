"""A tapped layer against the layer itself, and what its tap receives against autograd's gradients."""

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from grads.probing.gradients.linear import Recipe, TappedLinear, Whole, parts, squared_norm, statistics_of, tapped
from grads.runtime.errors import GradsError

INPUTS, OUTPUTS, RECORDS, TOKENS = 6, 9, 3, 5
KINDS = ["linear", "linear without bias", "conv1d"]


class Model(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleDict({"layer": layer})

    def forward(self, given: Tensor) -> Tensor:
        return self.block["layer"](given)


def make(kind: str, adapted: bool) -> Model:
    torch.manual_seed(0)
    layer = Conv1D(OUTPUTS, INPUTS) if kind == "conv1d" else nn.Linear(INPUTS, OUTPUTS, bias=kind == "linear")
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    model: Any = Model(layer)
    if adapted:
        config = LoraConfig(r=2, lora_alpha=6, target_modules=["layer"], init_lora_weights=False, lora_dropout=0.5)
        config.fan_in_fan_out = kind == "conv1d"
        model = inject_adapter_in_model(config, model)
    return model.eval()


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


GIVEN, GRADIENT = draw(RECORDS, TOKENS, INPUTS), draw(RECORDS, TOKENS, OUTPUTS, seed=2)


def autograd(model: Model, record: int) -> dict[str, Tensor]:
    """Return one record's gradients: of the weights, outputs x inputs, of A and of B."""
    model = copy.deepcopy(model).requires_grad_()
    (model(GIVEN[record : record + 1]) * GRADIENT[record]).sum().backward()
    flipped = any(isinstance(module, Conv1D) for module in model.modules())
    found = {}
    for name, parameter in model.named_parameters():
        key = next((matrix for matrix in ("lora_A", "lora_B") if matrix in name), "bias" if "bias" in name else "W")
        found[key] = parameter.grad.T if key == "W" and flipped else parameter.grad
    return found


def received(model: Model, recipe: Recipe) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the parts of what the tap receives, the layer's output, and the gradient of its inputs."""
    given = GIVEN.clone().requires_grad_()
    with tapped(model, {"block.layer": recipe}) as layers:
        layer = layers["block.layer"]
        layer.tap = torch.zeros(RECORDS, sum(recipe.widths), requires_grad=True)
        output = model(given)
        found, below = torch.autograd.grad((output * GRADIENT).sum(), [layer.tap, given])
    assert not found.requires_grad
    return list(found.split(recipe.widths, dim=1)), output.detach(), below


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_output_and_gradient_of_the_inputs_are_the_layers(kind: str, adapted: bool) -> None:
    model = make(kind, adapted)
    given = GIVEN.clone().requires_grad_()
    expected = model(given)
    (wanted,) = torch.autograd.grad((expected * GRADIENT).sum(), given)
    _, output, below = received(model, Recipe(weights=True))
    torch.testing.assert_close(output, expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(below, wanted, rtol=1e-5, atol=1e-5)
    with tapped(model, {"block.layer": Recipe(weights=True)}), torch.no_grad():
        # Without a tap, as in a pass forward only.
        torch.testing.assert_close(model(GIVEN), expected.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tap_receives_what_the_recipe_makes_of_the_adapters_gradients(kind: str) -> None:
    model = make(kind, True)
    sides = ((draw(2, 2), draw(INPUTS, 3)), (draw(OUTPUTS, 4), draw(2, 2, seed=4)))
    wholes = (Whole(lambda a, b: a.flatten(1), 2 * INPUTS), Whole(lambda a, b: b[:, :1, :].flatten(1), 2))
    recipe = Recipe(statistics=True, absolute=True, factors=sides, whole=wholes)
    assert recipe.widths == [5, 2 * INPUTS, 2, 6, 8]
    found, _, _ = received(model, recipe)
    for record in range(RECORDS):
        gradients = autograd(model, record)
        of_a, of_b = gradients["lora_A"], gradients["lora_B"]
        entries = torch.cat([of_a.flatten(), of_b.flatten()])
        both = (entries.square().sum(), entries.sum(), entries.abs().sum(), entries.max(), entries.min())
        expected = [torch.stack(both), of_a.flatten(), of_b[:1].flatten()]
        expected += [
            (left.T @ gradient @ right).flatten() for (left, right), gradient in zip(sides, (of_a, of_b), strict=True)
        ]
        for part, value in zip(found, expected, strict=True):
            torch.testing.assert_close(part[record], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tap_receives_norm_and_projection_of_the_weights_gradient(kind: str) -> None:
    model = make(kind, False)
    left, right = draw(OUTPUTS, 4), draw(INPUTS, 3)
    found, _, _ = received(model, Recipe(weights=True, factors=((left, right),)))
    for record in range(RECORDS):
        gradient = autograd(model, record)["W"]
        torch.testing.assert_close(found[0][record, 0], gradient.square().sum(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[1][record], (left.T @ gradient @ right).flatten(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokens", [1, 5, 200])
def test_the_norm_is_the_same_in_both_forms(tokens: int) -> None:
    # 5 x 24 < 8 x 16 goes by Gram matrices, 200 by the product.
    gradient, given = draw(2, tokens, 8), draw(2, tokens, 16, seed=2)
    expected = (gradient.mT @ given).square().sum(dim=(1, 2))
    torch.testing.assert_close(squared_norm(gradient, given), expected, rtol=1e-4, atol=1e-4)


def test_statistics_of_several_gradients_are_of_their_entries_together() -> None:
    pieces = draw(2, 7), draw(2, 3, seed=5) - 4
    torch.testing.assert_close(
        statistics_of(*pieces, absolute=True), statistics_of(torch.cat(pieces, dim=1), absolute=True)
    )
    assert (statistics_of(*pieces, absolute=False)[:, 2] == 0).all()


def test_layers_are_put_back_also_after_an_error() -> None:
    model = make("linear", True)
    before = model.block["layer"]
    with pytest.raises(ZeroDivisionError), tapped(model, {"block.layer": Recipe(weights=True)}) as layers:
        assert model.block["layer"] is layers["block.layer"]
        assert isinstance(model.block["layer"], TappedLinear)
        1 / 0  # noqa: B018
    assert model.block["layer"] is before
    with pytest.raises(GradsError), tapped(Model(nn.Bilinear(2, 2, 2)), {"block.layer": Recipe(weights=True)}):
        pass


def test_a_tap_wants_records_one_by_one() -> None:
    model = make("linear", False)
    with tapped(model, {"block.layer": Recipe(weights=True)}) as layers:
        layers["block.layer"].tap = torch.zeros(RECORDS, 1, requires_grad=True)
        for given in (GIVEN.flatten(0, 1), GIVEN[:2]):
            with pytest.raises(GradsError, match=r"block\.layer does not see records one by one"):
                model(given)


def test_the_parts_of_a_layer() -> None:
    matrix, bias, adapter = parts("layer", make("conv1d", True).block["layer"])
    assert adapter is not None
    low, high, scale = adapter
    assert (matrix.shape, bias.shape, low.shape, high.shape) == ((9, 6), (9,), (2, 6), (9, 2))
    assert scale == 3.0
    with pytest.raises(GradsError, match="odd is a Bilinear, whose gradients the probe cannot take"):
        parts("odd", nn.Bilinear(2, 2, 2))
