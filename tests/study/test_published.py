"""Published values: what each is of, and what is refused in one sentence."""

from pathlib import Path

import pytest
import yaml

from grads.runtime.errors import GradsError
from grads.study.published import Place, read_published
from grads.study.reading import parse_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
ONE = {"run": "grads@0.5", "measure": "bleu", "domain": "sums", "value": 23.4, "source": "Table 2"}


def read(*entries):
    return read_published(parse_study(SMOKE | {"published": list(entries)}))


def test_a_value_stands_at_its_place():
    assert {place: one.value for place, one in read(ONE).items()} == {Place("tiny", "sums", "grads@0.5", "bleu"): 23.4}
    assert read() == {}


def test_general_values_of_the_untuned_model_are_of_no_domain():
    entry = {"run": "untuned", "measure": "general", "value": 60.0, "source": "Table 3"}
    assert list(read(entry)) == list(read(entry | {"domain": "plurals"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": "grad@0.5"}, r"^'published.0.run': 'grad@0.5' is not in this study: did you mean 'grads@0.5'\?"),
        ({"measure": "blue"}, r"^'published.0.measure': 'blue' is not in this study: did you mean 'bleu'\?"),
        ({"domain": None}, "^'published.0.domain' is missing: the study has sums, plurals, name one of them"),
        ({"model": "tin"}, r"^'published.0.model': 'tin' is not in this study: did you mean 'tiny'\?"),
    ],
)
def test_what_is_nowhere_in_the_study_is_refused(change, said):
    with pytest.raises(GradsError, match=said):
        read(ONE | change)


def test_two_values_of_one_number_are_refused():
    with pytest.raises(
        GradsError, match=r"^'published.1': grads@0.5 has a published value of bleu already: remove one"
    ):
        read(ONE, ONE | {"value": 20.0})
