"""What the report's page shows of the user's own words: in captions, labels and parameters nothing is markup."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

from grads.graph.study import StudyGraph
from grads.report.captions import caption_text
from grads.report.registry import FIGURES, TABLES
from grads.study.reading import read_study

HOSTILE = "a*b* `c <javascript:x>`_ |d| e_ :raw-html:`f`\n\n.. raw:: html\n\n   <script>alert(1)</script> \\ "
SHOWN = " ".join(HOSTILE.split())
CONFIG = {
    "study": "smoke",
    "label": HOSTILE,
    "seeds": [0, 1],
    "arms": {"untuned": {}, "grads": {"ratios": [0.5]}},
    "models": {"tiny": {"title": HOSTILE}},
    "domains": {"law": {"title": HOSTILE}},
    "general": {"tasks": {"quiz": {"title": HOSTILE}}},
    "splits": {"test": 8},
}


CAPTIONS = {path.stem: path.read_text("utf-8") for path in sorted(Path("workflow/report").glob("*.rst"))}
CAPTIONS |= {f"table {name}": caption_text(table) for name, table in TABLES.all().items()}
CAPTIONS |= {f"figure {name}": caption_text(figure) for name, figure in FIGURES.all().items()}


@pytest.mark.parametrize("name", CAPTIONS)
def test_words_of_the_config_are_text_in_every_caption(name):
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(CAPTIONS[name]).render(snakemake=SimpleNamespace(config=CONFIG))
    body = publish_parts(text, writer_name="html", settings_overrides={"report_level": 5})["body"]
    for element in ("<script", "<a ", "<em>b", "<cite", "system-message", "problematic"):
        assert element not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    plain = " ".join(re.sub(r"<[^>]*>", "", body).split())
    assert SHOWN.replace("<", "&lt;").replace(">", "&gt;") in plain


def test_no_job_of_the_report_has_the_config_as_it_is():
    """Snakemake writes the parameters of rules with items of the report into scripts of its page."""
    study = read_study("config/smoke.yaml")
    label = "<script>alert(1)</script>"
    graph = StudyGraph(study.model_copy(update={"label": label}), reading=False)
    for rule in ("measurements", "tables", "curves", "selection_tables", "pages", "partial"):
        job = graph.job(rule, {})
        assert "<" not in json.dumps(job.settings, ensure_ascii=False)
        assert json.loads(job.settings["config"])["label"] == label
        assert job.study["label"] == label
