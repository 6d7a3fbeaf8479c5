"""The pages of the report: one a domain, with all that was measured on it, and one that says how the study was made."""

import dataclasses
import html
import json
from collections.abc import Collection
from pathlib import Path

import yaml

from grads.config.study import Study
from grads.data.frames import frame_rows
from grads.report.answers import SHOWN, answers_section, questions
from grads.report.building.domain import domain_table
from grads.report.building.forgetting import forgetting_table
from grads.report.files import AnswerFiles, answer_files
from grads.report.measurements import read_measurements
from grads.report.registry import measured_figures
from grads.report.rendering.html import document, picture, table_section
from grads.report.rendering.layout import Table
from grads.report.statistics.estimates import Estimates
from grads.runtime.files import read_object, write_text
from grads.runtime.progress import say


def make_pages(study: Study, measurements: Path, folder: Path) -> None:
    """Write `<domain>.html` for each domain, and `provenance.html`, to a folder.

    Raises:
        GradsError: the long table lacks something, or the runs of a domain answer no question in common.
    """
    estimates = Estimates(read_measurements(measurements))
    tables = domain_table(study, estimates), forgetting_table(study, estimates)
    for domain in study.domains:
        say(f"pages: {domain}")
        page = domain_page(study, domain, estimates, tables, answer_files(study, domain))
        write_text(folder / f"{domain}.html", page)
    manifest = measurements.with_name(f"{measurements.stem}.manifest.json")
    write_text(folder / "provenance.html", provenance_page(study, manifest))


def domain_page(
    study: Study, domain: str, estimates: Estimates, tables: tuple[Table, Table], files: AnswerFiles
) -> str:
    """Return a domain's page: its part of the tables of what was learnt and forgotten, figures, and answers.

    Args:
        study: the study.
        domain: whose page.
        estimates: of the study's long table.
        tables: the study's `domain_table` and `forgetting_table`, of which the domain's part is shown as it stands
            there, so that no number differs.
        files: records and answers.
    """
    title = study.domains[domain].title
    counts = [f"{frame_rows(path):,} {split}" for split, path in files.records.items()]
    # The page itself has the label.
    alone = study.model_copy(update={"domains": {domain: study.domains[domain]}, "label": ""})
    learnt, forgotten = tables
    titles = [model.title for model in study.models.values()]
    shown = [
        f"<h1>{html.escape(title)}</h1>\n<p>Records: {', '.join(counts)}.</p>\n<h2>What was learnt</h2>\n",
        table_section(columns_of(learnt, title)),
        '<div class="pictures">',
        *(
            picture(figure.draw(alone, estimates), f"{title}: {figure.on_domain_pages}")
            for figure in measured_figures(alone)
            if figure.on_domain_pages is not None
        ),
        "</div>\n",
        "<h2>What was forgotten</h2>\n",
        table_section(
            blocks_of(forgotten, {name for model in titles for name in (model, f"{model}, tuned on {title}")})
        ),
        f"<h2>Answers side by side</h2>\n<p>{SHOWN} test records at most, of those that every run answers, drawn by "
        "the study's first seed, under which all runs here were trained. Answers that reached the most tokens are "
        "marked as cut.</p>\n",
        answers_section(study, questions(study, domain, files)),
    ]
    return document(title, study.label, "".join(shown))


def columns_of(table: Table, title: str) -> Table:
    """Return a table with its first column and those of one group."""
    start = 0
    for name, width in table.groups:
        if name == title:
            break
        start += width
    keep = [0, *range(start, start + width)]
    blocks = [
        dataclasses.replace(one, rows=[[row[place] for place in keep] for row in one.rows]) for one in table.blocks
    ]
    header = [table.header[place] for place in keep]
    return dataclasses.replace(table, groups=[("", 1), (title, width)], header=header, blocks=blocks)


def blocks_of(table: Table, titles: Collection[str]) -> Table:
    """Return a table with the blocks of these titles."""
    return dataclasses.replace(table, blocks=[block for block in table.blocks if block.title in titles])


def provenance_page(study: Study, manifest: Path) -> str:
    """Return the page of the config as it was read, with all defaults, and of the manifest of the measurements."""
    config = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    # The settings of a manifest are the config again.
    made = {name: value for name, value in read_object(manifest).items() if name != "settings"}
    inputs = made.pop("inputs")
    parts = [
        ("What made the measurements", json.dumps(made, indent=1, ensure_ascii=False)),
        ("The config, with its defaults", config),
    ]
    body = "".join(f"<h2>{title}</h2>\n<pre>{html.escape(text)}</pre>\n" for title, text in parts)
    hashes = html.escape("\n".join(f"{sha256}  {path}" for path, sha256 in inputs.items()))
    body += f"<h2>What they were made from</h2>\n<details><summary>SHA-256 of {len(inputs)} files and folders"
    body += f"</summary><pre>{hashes}</pre></details>\n"
    return document("How the study was made", study.label, body)
