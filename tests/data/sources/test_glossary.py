"""Define-the-term questions made from WordNet."""

from pathlib import Path

import pytest

from grads.data.sources.glossary import glossary_records
from grads.data.sources.wordnet import EnglishWordNet, open_wordnet
from grads.runtime.errors import GradsError


@pytest.fixture(scope="module")
def wordnet(wordnet_folder: Path) -> EnglishWordNet:
    return open_wordnet(wordnet_folder)


def test_a_tree_asks_for_the_gloss_of_every_hyponym(wordnet: EnglishWordNet) -> None:
    records = glossary_records(wordnet, [], ["loan.n.01"], "finance")
    by_group = {record.group: record for record in records}
    loan = by_group["loan.n.01"]
    assert loan.instruction == 'In finance, what does "loan" mean?'
    assert loan.output == "the temporary provision of money (usually at interest)"
    assert (loan.input, loan.source) == ("", "WordNet 3.0")
    assert by_group["home_loan.n.01"].instruction == 'In finance, what does "home loan" mean?'
    names = [synset.name() for synset in wordnet.synset("loan.n.01").closure(lambda synset: synset.hyponyms())]
    assert set(by_group) == {"loan.n.01", *names}


def test_a_topic_takes_its_members_but_not_itself(wordnet: EnglishWordNet) -> None:
    groups = {record.group for record in glossary_records(wordnet, ["law.n.01"], [], "law")}
    assert groups < {synset.name() for synset in wordnet.synset("law.n.01").in_topic_domains()}
    assert "law.n.01" not in groups


def test_no_prompt_has_two_answers_and_the_order_is_fixed(wordnet: EnglishWordNet) -> None:
    trees = ["symptom.n.01", "ill_health.n.01"]
    records = glossary_records(wordnet, ["medicine.n.01"], trees, "medicine")
    assert records == glossary_records(wordnet, ["medicine.n.01"], trees[::-1], "medicine")
    prompts = [record.instruction for record in records]
    assert len(set(prompts)) == len(prompts) > 1_500
    assert [record.group for record in records] == sorted(record.group for record in records)
    assert all(record.output == record.output.strip() != "" for record in records)


def test_examples_are_no_part_of_the_answer(wordnet: EnglishWordNet) -> None:
    (record,) = (r for r in glossary_records(wordnet, [], ["pain.n.01"], "medicine") if r.group == "pain.n.01")
    assert wordnet.synset("pain.n.01").examples()
    assert '"' not in record.output


def test_unknown_and_empty_synsets_are_named(wordnet: EnglishWordNet) -> None:
    for name in ("lawe.n.01", "law", "law.n.99"):
        with pytest.raises(GradsError, match=f"'{name}' in 'topics' or 'trees'"):
            glossary_records(wordnet, [name], [], "law")
    with pytest.raises(GradsError, match="glossary of law is empty"):
        glossary_records(wordnet, [], [], "law")
