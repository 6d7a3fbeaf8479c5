import pytest

from grads.commands.options import assignments, ratio_of, section
from grads.runtime.errors import GradsError
from grads.study.config import Training


def test_values_are_read_as_yaml_and_dots_open_mappings():
    pairs = ["epochs=3", "learning_rate=2e-5", "weights=full", "adapter.rank=8", "adapter.targets=[a, b]", "x=true"]
    assert assignments(pairs, "--training") == {
        "epochs": 3,
        "learning_rate": 2e-5,
        "weights": "full",
        "adapter": {"rank": 8, "targets": ["a", "b"]},
        "x": True,
    }


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["epochs"], "--training epochs: found no key and value"),
        (["=3"], "--training =3: found no key"),
        (["epochs=1", "epochs=2"], "'epochs' is given twice"),
        (["adapter=1", "adapter.rank=2"], "'adapter' has a value already"),
        (["epochs=[1"], "the value is not YAML"),
    ],
)
def test_what_is_no_assignment_is_refused(pairs, sentence):
    with pytest.raises(GradsError, match=sentence):
        assignments(pairs, "--training")


def test_a_section_names_the_key():
    assert section(Training, {"adapter": {"rank": 3}}, "--training").adapter.rank == 3
    with pytest.raises(GradsError, match=r"--training: 'adapter.rank': .*found 0"):
        section(Training, {"adapter": {"rank": 0}}, "--training")


def test_a_ratio_has_one_spelling():
    assert ratio_of(".50") == "0.5"
    with pytest.raises(GradsError, match="--ratio"):
        ratio_of("half")
