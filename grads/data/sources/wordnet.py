"""WordNet 3.0 from an archive, opened with NLTK's reader; for glossaries and for METEOR's synonyms."""

import warnings
from pathlib import Path

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from grads.data.sources.archives import read_folder
from grads.runtime.errors import GradsError
from grads.runtime.files import AGAIN, atomic_path, reading

CORPUS = Path("corpora") / "wordnet"
NEEDED = ("data.noun", "data.verb", "data.adj", "data.adv", "index.noun", "index.sense", "lexnames", "noun.exc")


class EnglishWordNet(WordNetCorpusReader):
    """NLTK's reader without the map to other languages, which takes two seconds to make and has no use here."""

    def map_wn(self, version: str = "wordnet") -> None:
        """Return no map from another version: synsets are only looked up in English."""


def install_wordnet(archive_path: Path | str, member: str, folder: Path | str) -> Path:
    """Write the WordNet database inside an archive to `folder/corpora/wordnet`, which is returned.

    Carriage returns are removed: the database is read by byte offsets, which are those of files with bare newlines.

    Raises:
        GradsError: the archive has no such folder, or the folder is not a WordNet database.
    """
    files = read_folder(archive_path, member)
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise GradsError(
            f"{archive_path}: '{member}' has no '{missing[0]}', so it is not a WordNet database: fix 'member'"
        )
    target = Path(folder) / CORPUS
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for name, content in files.items():
            (temporary / name).write_bytes(content.replace(b"\r", b""))
    return target


def open_wordnet(folder: Path | str) -> WordNetCorpusReader:
    """Return NLTK's reader on the WordNet in `folder`, as `install_wordnet` left it, and on no other of this machine.

    Raises:
        GradsError: no WordNet is there.
    """
    root = Path(folder).resolve()
    if not (root / CORPUS / "data.noun").is_file():
        raise GradsError(f"{root / CORPUS} holds no WordNet: run the preparation of the study's data again")
    if str(root) not in nltk.data.path:  # NLTK refuses to read outside its data path.
        nltk.data.path.insert(0, str(root))
    missing = [name for name in NEEDED if not (root / CORPUS / name).is_file()]
    if missing:
        raise GradsError(f"{root / CORPUS} has no '{missing[0]}', so it is no whole WordNet: {AGAIN}")
    with reading(root / CORPUS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # There are no translations, and none are used.
        return EnglishWordNet(str(root / CORPUS), None)
