"""WordNet out of its archive, against known figures."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from nltk.translate.meteor_score import single_meteor_score

from grads.data.sources.archives import read_folder
from grads.data.sources.wordnet import CORPUS, install_wordnet, open_wordnet
from grads.runtime.errors import GradsError

REFERENCE = ["the", "physician", "prescribed", "a", "drug", "for", "the", "illness"]
HYPOTHESIS = ["the", "doctor", "prescribed", "a", "drug", "for", "the", "sickness"]


class NoSynonyms:
    def synsets(self, _: str) -> list:
        return []


def test_meteor_figures(wordnet_folder: Path) -> None:
    wordnet = open_wordnet(wordnet_folder)
    # 8 words match in one chunk: precision and recall 1, penalty 0.5 (1/8)^3.
    assert single_meteor_score(REFERENCE, HYPOTHESIS, wordnet=wordnet) == pytest.approx(1 - 0.5 / 8**3, abs=1e-12)
    assert single_meteor_score(REFERENCE, HYPOTHESIS, wordnet=NoSynonyms()) == pytest.approx(0.73611, abs=5e-6)


def test_synsets_are_read_at_their_offsets(wordnet_folder: Path) -> None:
    wordnet = open_wordnet(wordnet_folder)
    assert wordnet.get_version() == "3.0"
    assert sum(1 for _ in wordnet.all_synsets("r")) == 3_621  # wnstats(7WN) of WordNet 3.0
    last = wordnet.synset("zymosis.n.01")
    assert wordnet.synset_from_pos_and_offset("n", last.offset()) == last
    assert wordnet.synsets("mice")[0].name() == "mouse.n.01"


def test_carriage_returns_are_gone_and_nothing_else(
    wordnet_folder: Path, wordnet_archive: Path, wordnet_member: str
) -> None:
    files = read_folder(wordnet_archive, wordnet_member)
    assert b"\r\n" in files["data.noun"]
    assert {path.name for path in (wordnet_folder / CORPUS).iterdir()} == set(files)
    assert (wordnet_folder / CORPUS / "data.noun").read_bytes() == files["data.noun"].replace(b"\r\n", b"\n")


def test_other_data_of_the_machine_is_not_looked_at(wordnet_folder: Path, tmp_path: Path) -> None:
    decoy = tmp_path / "nltk_data" / "corpora" / "wordnet"
    decoy.mkdir(parents=True)
    (decoy / "lexnames").write_text("broken")
    code = (
        "import sys; from grads.data.sources.wordnet import open_wordnet; "
        "print(len(open_wordnet(sys.argv[1]).synsets('illness')))"
    )
    environment = os.environ | {"HOME": str(tmp_path), "NLTK_DATA": str(tmp_path / "nltk_data")}
    command = [sys.executable, "-W", "error::UserWarning", "-c", code, str(wordnet_folder)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout == "1\n", answer.stderr


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="holds no WordNet"):
        open_wordnet(tmp_path)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("dict/data.noun"), io.BytesIO())
    with pytest.raises(GradsError, match=r"has no 'data.verb'"):
        install_wordnet(tmp_path / "a.tar.gz", "dict", tmp_path / "out")
    assert not (tmp_path / "out" / CORPUS).exists()
