"""Claims in configs and files: what is read, and what is refused in one sentence."""

from pathlib import Path

import pytest
import yaml

from grads.config.claims import Claim
from grads.runtime.errors import GradsError
from grads.study.claim_sentences import ParsedClaim, in_study, parse_claim, read_claims, run_titles
from grads.study.reading import parse_study, read_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))


def study(claims):
    return parse_study(SMOKE | {"claims": claims})


def parsed(sentence, **more):
    return parse_claim(Claim(claim=sentence, **more), "mine.yaml: claim 1")


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("grads@0.05 beats full on bleu", ("grads@0.05", "beats", "full", "bleu")),
        ("grads@.50  forgets less than\n full on general", ("grads@0.5", "forgets less than", "full", "general")),
        ("less@auto beats random_length@1e-2 on gsm8k", ("less@auto", "beats", "random_length@0.01", "gsm8k")),
    ],
)
def test_a_sentence_is_taken_apart(sentence, parts):
    found = parsed(sentence)
    assert (found.run, found.verb, found.base, found.measure) == parts


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("grads@0.05 beat full on bleu", r"is no claim: 'beat': did you mean 'beats'\? write '<arm>@<ratio> beats"),
        ("grads forgets lesser than full on kl", r"'lesser': did you mean 'less'\?"),
        ("grads@0.05 beats full", "is no claim: write '<arm>@<ratio> beats"),
        ("grads@0.05 beats full on bleu by far", "is no claim: write"),
        ("grads@5 beats full on bleu", r"'grads@5 beats full on bleu': a ratio is above 0 and at most 1, not 5"),
        ("grads@five beats full on bleu", "a ratio is a number above 0 and at most 1, not 'five'"),
        ("grads@0.5 beats full on kl", "'kl' measures what is forgotten: write 'forgets less than' instead of 'beats'"),
        ("grads@0.5 beats grads@.5 on bleu", "compares grads@0.5 with itself: name two runs"),
    ],
)
def test_what_is_no_claim_is_refused(sentence, said):
    with pytest.raises(GradsError, match=said) as error:
        parsed(sentence)
    assert str(error.value).startswith("mine.yaml: claim 1: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("grad@0.5 beats full on bleu", r"claims.0: 'grad@0.5' is no run of this study: did you mean 'grads@0.5'\?"),
        ("grads@0.05 beats full on bleu", r"'grads@0.05' is no run of this study: did you mean 'grads@0.5'\?"),
        ("grads@0.5 beats full on blue", r"'blue' is no measure of this study for 'beats': did you mean 'bleu'\?"),
        ("grads@0.5 forgets less than full on product", r"did you mean 'products'\?"),
        ("grads@0.5 forgets less than full on bleu", "'bleu' is no measure of this study for 'forgets less than'"),
    ],
)
def test_a_config_s_own_claims_are_about_the_study(claim, said):
    with pytest.raises(GradsError, match=said):
        read_claims(study([{"claim": claim}]))


def test_no_claim_is_about_what_learns_from_the_test_set():
    arms = SMOKE["arms"] | {"seen": {"method": "full", "strategy": "tlm"}}
    mine = parse_study(SMOKE | {"arms": arms, "claims": [{"claim": "seen beats full on bleu"}]})
    with pytest.raises(GradsError, match=r"'seen' learns from the prompts of the test set .*: remove the claim"):
        read_claims(mine)
    assert not in_study(mine, parsed("full beats seen on bleu"))


def test_claims_of_a_file_may_name_what_a_study_lacks(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(
        "- {claim: stm@1 forgets less than full on gsm8k, form: relative, published: 3, source: 'Table 2'}\n"
        "- {claim: grads@0.5 beats full on bleu}\n",
        encoding="utf-8",
    )
    mine = study(str(path))
    first, second = read_claims(mine)
    assert (in_study(mine, first), in_study(mine, second)) == (False, True)
    assert (first.claim.form, first.claim.published, first.claim.source) == ("relative", 3, "Table 2")
    assert (second.claim.form, second.claim.published) == ("absolute", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim: a", r"claims.yaml: a file of claims is a list of entries such as"),
        ("- {claims: grads@0.5 beats full on bleu}", r"claims.yaml: claim 1: "),
        (
            "- {claim: grads@0.5 beats full on bleu, publishd: 3}",
            r"claim 1: unknown key 'publishd': did you mean",
        ),
        ("- {claim: 3}", r"claim 1: 'claim': write text; found 3; write '<arm>"),
        (
            "- {claim: a beats b on bleu}\n- {claim: grads beats full}",
            r"claim 2: 'grads beats full' is no",
        ),
        ("- {claim: a beats b on bleu}\n- {claim: a  beats b on bleu}", "is there twice in the form absolute"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, text, said):
    (tmp_path / "claims.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(GradsError, match=said) as error:
        read_claims(study(str(tmp_path / "claims.yaml")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([{"claim": "a beats b on bleu", "form": "relativ"}], "'claims.0.form'"),
        ([{"clam": "a beats b on bleu"}], "claims.0"),
        ([{"claim": "a beats b on bleu", "sources": "x"}], r"unknown key 'claims.0.sources': did you mean 'source'\?"),
    ],
)
def test_keys_of_claims_in_a_config_are_checked(claims, said):
    with pytest.raises(GradsError, match=said):
        study(claims)


def test_a_relative_and_an_absolute_claim_may_say_the_same():
    sentence = "grads@0.5 beats full on bleu"
    assert len(read_claims(study([{"claim": sentence}, {"claim": sentence, "form": "relative"}]))) == 2


def test_runs_are_called_as_tables_call_them():
    titles = ["untuned", "full", "random@0.5", "full_steps@0.5", "grads@0.5", "grads_density@0.5", "random_length@0.5"]
    assert run_titles(study([])) == titles
    assert read_claims(study([])) == []
    assert isinstance(parsed("a beats b on bleu"), ParsedClaim)


@pytest.mark.parametrize("path", sorted(Path("config/claims").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_claims_of_papers_can_be_read(path):
    claims = read_claims(study(str(path)))
    assert len(claims) >= 3
    assert all(one.claim.source for one in claims)
    demo = read_study("config/demo-large.yaml")
    if path.stem == "grads":
        assert all(in_study(demo, one) for one in claims)
