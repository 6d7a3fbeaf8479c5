"""The registry: discovery, names, parameters."""

import subprocess
import sys

import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Parameters
from grads.selection.registry import REGISTRY, find_method, methods, module_of, parse_parameters


def test_methods_are_found_and_named_like_their_files() -> None:
    assert {"full", "full_steps", "grads", "grads_density", "random", "random_length", "untuned"} <= set(methods())
    for name in methods():
        assert module_of(name) == f"grads.selection.methods.{name}"
        assert methods()[name].name == name
        assert methods()[name].source


def test_declarations_import_nothing_heavy() -> None:
    code = (
        "import sys; from grads.selection.registry import methods\n"
        "for method in methods().values(): method.needs(method.shown)\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_needs_follow_the_parameters() -> None:
    grads = find_method("grads")
    assert grads.needs(parse_parameters(grads, {})).stores == {"base": {"hidden"}, "warm": {"gradients"}}
    weights = {"diversity": 0.0, "similarity": 0.0}
    assert grads.needs(parse_parameters(grads, weights)).stores == {"warm": {"gradients"}}
    switched = {"point": "base", "layers": ["head", "adapter"]}
    assert grads.needs(parse_parameters(grads, switched)).stores == {"base": {"gradients", "adapter", "hidden"}}
    switched = {"point": "during", "encoder": "minilm"}
    stores = grads.needs(parse_parameters(grads, switched)).stores
    assert stores == {"during": {"gradients"}, "encoder-minilm": {"sentences"}}
    density = find_method("grads_density")
    switched = {"reduction": "mean_abs", "layers": ["adapter"]}
    assert density.needs(parse_parameters(density, switched)).stores == {"warm": {"gradients", "adapter", "mean_abs"}}
    length = find_method("random_length")
    assert length.needs(parse_parameters(length, {})).arms == ("grads",)
    assert length.needs(parse_parameters(length, {"reference": "other"})).arms == ("other",)


def test_name_declared_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import grads.selection.methods.full

    monkeypatch.setattr(grads.selection.methods.full, "METHOD", find_method("random"))
    with pytest.raises(GradsError, match=r"full\.py and .*/random\.py both declare the method 'random'"):
        REGISTRY.collect(["grads.selection.methods.full", "grads.selection.methods.random"])


def test_file_without_a_method_is_an_error() -> None:
    with pytest.raises(GradsError, match=r"grads/selection/algorithms/density\.py declares no METHOD"):
        REGISTRY.collect(["grads.selection.algorithms.density"])


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("grads", {"neigbours": 5}, "method 'grads' has no parameter 'neigbours': did you mean 'neighbours'"),
        ("grads", {"neighbours": 0}, "parameter 'neighbours' of method 'grads' is 0"),
        ("grads", {"diversity": "0.5"}, "parameter 'diversity' of method 'grads' is '0.5'"),
        ("grads", {"diversity": float("inf")}, "parameter 'diversity' of method 'grads' is inf"),
        ("full", {"reference": "grads"}, "method 'full' has no parameter 'reference': there are none"),
        ("grads", {"layers": []}, "parameter 'layers' of method 'grads'"),
        ("grads_density", {"combination": "head", "layers": ["embedding"]}, "'head' is not among the layers"),
        ("grads_density", {"reduction": "vector"}, "'vector' gives no single number: set combination to joint"),
        ("grads_density", {"combination": "joint", "rule": "highest"}, "rule 'highest' needs one number"),
    ],
)
def test_wrong_parameter_is_named(name: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(GradsError, match=message):
        parse_parameters(find_method(name), given)


def test_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(GradsError, match="no selection method 'randm': did you mean 'random'"):
        find_method("randm")


def test_parameters_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_parameters(find_method("grads"), {}).neighbours = 3
    assert parse_parameters(find_method("full"), {}) == Parameters()
