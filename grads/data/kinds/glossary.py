"""`glossary`: questions for the meaning of the terms of a domain, made of WordNet by code."""

from grads.config.kinds import Reading, RecordKind, Rows
from grads.config.sources import GlossarySource
from grads.runtime.files import digest


def rows(source: GlossarySource, reading: Reading) -> Rows:
    """Yield a question for each synset; WordNet is unpacked once for all domains."""
    from grads.data.sources.glossary import glossary_records
    from grads.data.sources.wordnet import install_wordnet, open_wordnet

    archive = reading.archive(source)
    folder = reading.scratch / digest([source.archive, source.member], 12)
    if not folder.exists():
        install_wordnet(archive, source.member, folder)
    records = glossary_records(open_wordnet(folder), source.topics, source.trees, reading.title.lower())
    for record in records:
        columns = ("instruction", "output", "source", "group")
        yield f"{archive}:{record.group}", {name: getattr(record, name) for name in columns}


SOURCE = RecordKind(section=GlossarySource, rows=rows, titled=True, order=40)
