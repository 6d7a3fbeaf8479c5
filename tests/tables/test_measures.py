"""How the domain metrics are printed: every one of the config's, in the right direction."""

from typing import get_args

import pytest

from grads.evaluate.metrics import bleu, chrf
from grads.study.config import Evaluation
from grads.tables.measures import MEASURES


def test_every_metric_of_the_config_is_known():
    (metrics,) = get_args(Evaluation.model_fields["metrics"].annotation)
    assert set(get_args(metrics)) == set(MEASURES)
    assert set(Evaluation.model_fields["metrics"].default) == set(MEASURES)


def test_titles_have_their_direction():
    assert {name: measure.arrow for name, measure in MEASURES.items()} == {
        "bleu": "BLEU ↑", "meteor": "METEOR ↑", "chrf": "chrF ↑", "response_nll": "NLL ↓",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "compute"), [("bleu", bleu), ("chrf", chrf)])
def test_a_better_answer_has_a_value_that_counts_as_better(name, compute):
    reference = "a document stating rights and duties of the parties"
    good, bad = (compute([{"reference": reference, "prediction": text}]) for text in (reference, "a rock"))
    assert (good["value"] > bad["value"]) == MEASURES[name].higher_is_better
    # Both run from 0 to 100, with two decimals.
    assert good["value"] == pytest.approx(100)
    assert MEASURES[name].decimals == 2


def test_a_loss_is_better_when_it_is_lower():
    assert [name for name, measure in MEASURES.items() if not measure.higher_is_better] == ["response_nll"]
