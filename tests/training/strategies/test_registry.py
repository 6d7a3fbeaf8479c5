"""The registry of strategies: discovery, names, parameters."""

import subprocess
import sys

import pytest

from grads.config.training import Training
from grads.runtime.errors import GradsError
from grads.training.strategies.contract import Inputs, Parameters
from grads.training.strategies.registry import find_strategy, module_of, parse_parameters, strategies


def test_strategies_are_found_and_named_like_their_files():
    assert {"sft", "stm", "replay", "low_lr", "dropout", "weighted"} <= set(strategies())
    for name, strategy in strategies().items():
        assert module_of(name) == f"grads.training.strategies.{name}"
        assert (strategy.name, bool(strategy.source)) == (name, True)
        assert strategy.parameters.model_validate({}) == strategy.parameters()


def test_declarations_import_nothing_heavy():
    code = (
        "import sys; from grads.training.strategies.registry import strategies\n"
        "for strategy in strategies().values(): strategy.needs(strategy.parameters())\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_sft_changes_nothing(examples):
    sft, given = find_strategy("sft"), examples(3)
    prepared = sft.prepare(given, Inputs(), Parameters())
    assert (prepared.examples, prepared.weights, prepared.notes) == (given, {}, {})
    assert sft.settings(Training(), Parameters()) == Training()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("stm", {"treshold": 5.0}, "strategy 'stm' has no parameter 'treshold': did you mean 'threshold'"),
        ("stm", {"threshold": 1.0}, "parameter 'threshold' of strategy 'stm' is 1.0"),
        ("low_lr", {"factor": 2.0}, "parameter 'factor' of strategy 'low_lr' is 2.0"),
        ("dropout", {"rate": "0.1"}, "parameter 'rate' of strategy 'dropout' is '0.1'"),
        ("sft", {"rate": 0.1}, "strategy 'sft' has no parameter 'rate': there are none"),
    ],
)
def test_a_wrong_parameter_is_named(name, given, message):
    with pytest.raises(GradsError, match=message):
        parse_parameters(find_strategy(name), given)


def test_an_unknown_strategy_is_named_with_the_nearest():
    with pytest.raises(GradsError, match="no training strategy 'stn': did you mean 'stm'"):
        find_strategy("stn")
