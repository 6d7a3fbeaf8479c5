"""Define-the-term questions from WordNet: topic domains and hyponym trees make the glossary of a domain."""

from collections.abc import Iterable
from typing import Any

from nltk.corpus.reader.wordnet import WordNetCorpusReader, WordNetError

from grads.data.records.record import Record, make_record
from grads.runtime.errors import GradsError


def glossary_records(
    wordnet: WordNetCorpusReader, topics: Iterable[str], trees: Iterable[str], domain: str
) -> list[Record]:
    """Return one record a synset: what its first term means in the domain, answered by its gloss without examples.

    A term that several synsets share is defined once, in the sense that WordNet lists first, so that no prompt has
    two right answers. Sorted by synset name, which is also the record's group.

    Args:
        wordnet: from `open_wordnet`.
        topics: synsets whose topic-domain members are taken, such as `law.n.01`.
        trees: synsets that are taken with all their hyponyms, such as `disease.n.01`.
        domain: how the question calls the domain, such as `medicine`: 'In medicine, what does "ague" mean?'.

    Raises:
        GradsError: WordNet has no such synset, or the glossary is empty.
    """
    members: set[Any] = set()
    for name in topics:
        members.update(_synset(wordnet, name).in_topic_domains())
    for name in trees:
        root = _synset(wordnet, name)
        members.update([root, *root.closure(lambda synset: synset.hyponyms())])
    first: dict[str, Any] = {}
    # A synset is named by its first term and that term's sense number, so the first sense comes first.
    for synset in sorted(members, key=lambda synset: synset.name()):
        if synset.definition().strip():
            first.setdefault(synset.lemma_names()[0].replace("_", " "), synset)
    if not first:
        raise GradsError(f"the glossary of {domain} is empty: name synsets with members in 'topics' or 'trees'")
    return [
        make_record(
            f'In {domain}, what does "{term}" mean?', "", synset.definition().strip(), "WordNet 3.0", synset.name()
        )
        for term, synset in first.items()
    ]


def _synset(wordnet: WordNetCorpusReader, name: str) -> Any:
    try:
        return wordnet.synset(name)
    except (WordNetError, ValueError):
        raise GradsError(
            f"'{name}' in 'topics' or 'trees' is no synset of WordNet 3.0: write term.part.number, as in 'law.n.01'"
        ) from None
