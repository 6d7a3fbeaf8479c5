"""The pages of the report: an overview, one a domain with all that was measured on it, and one that says how the study
was made.
"""

import dataclasses
import html
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import yaml

from grads.config.study import Study
from grads.data.frames import frame_rows
from grads.report.answers import answers_section, questions
from grads.report.building.claims import claims_table
from grads.report.building.domain import domain_table
from grads.report.building.forgetting import forgetting_table
from grads.report.building.judging import POOLED
from grads.report.building.main import main_table
from grads.report.drawing.overview import overview_figure
from grads.report.files import AnswerFiles
from grads.report.items import changed_items, changes_section
from grads.report.registry import (
    measured_figures,
    measured_tables,
    selection_figures,
    selection_tables,
    training_figures,
)
from grads.report.rendering.html import (
    Link,
    document,
    link_list,
    picture,
    preformatted,
    table_section,
)
from grads.report.rendering.layout import Table
from grads.report.statistics.estimates import Estimates, runs
from grads.report.statistics.samples import LEAST_SEEDS
from grads.runtime.files import read_object, write_text
from grads.runtime.progress import say
from grads.study.grid import cells

OVERVIEW = "index.html"
PROVENANCE = "provenance.html"
TERMS = {
    "arm": "a way to train: a method that selects records, with its settings and a training strategy.",
    "keep ratio": "the share of the training records that an arm keeps; grads@0.05 keeps 5 %.",
    "untuned": "the model as it comes. It shows what there is to gain and to forget.",
    "full": "tuned on all records.",
    "random": "tuned on as many records as the methods keep, drawn at random. A method that does not beat this has "
    "shown nothing.",
    "random_length": "the same, drawn so that answers are as long as those that a method keeps.",
    "full_steps": "tuned on all records, for as many optimiser steps as the subset takes.",
    "interval": "the 95 % interval of a value: over test items and seeds from three seeds on, else over items alone.",
    "KL": "how far the tuned model has drifted from the untuned one on general text, in nats per token; 0 is no drift.",
    "NLL": "the negative log-likelihood of a text under the model, in nats per token; lower is better.",
}
"""What the words of the pages mean."""


def make_pages(
    study: Study, estimates: Estimates, answers: Mapping[str, AnswerFiles], folder: Path, manifest: Path | None
) -> None:
    """Write the overview, `index.html`, `<domain>.html` for each domain, and `provenance.html` to a folder.

    Args:
        study: the study.
        estimates: of its long table.
        answers: by domain, what its models were asked and answered.
        folder: where the pages go, next to the folders `tables` and `figures`.
        manifest: of the long table; without one there is no page that says how the study was made.

    Raises:
        GradsError: the long table lacks something, or the runs of a domain answer no question in common.
    """
    links = [Link("Overview", OVERVIEW)]
    links += [Link(study.domains[domain].title, f"{domain}.html") for domain in answers]
    if manifest is not None:
        links.append(Link("How it was made", PROVENANCE))
    say("pages: overview")
    write_text(folder / OVERVIEW, overview_page(study, estimates, links))
    tables = domain_table(study, estimates), forgetting_table(study, estimates)
    for domain, files in answers.items():
        say(f"pages: {domain}")
        write_text(folder / f"{domain}.html", domain_page(study, domain, estimates, tables, files, links))
    if manifest is not None:
        write_text(folder / PROVENANCE, provenance_page(study, manifest, links))


def overview_page(study: Study, estimates: Estimates, links: Collection[Link]) -> str:
    """Return the page that answers first: what was asked, what came out, and what each arm gains, forgets and costs."""
    trained = sum(cell.trained for cell in cells(study))
    counts = [
        _counted(len(study.models), "model"),
        _counted(len(study.domains), "domain"),
        f"{len(runs(study))} arms and keep ratios",
        _counted(len(study.seeds), "seed"),
    ]
    parts = [
        f"<h1>Study {html.escape(study.study)}</h1>\n<p>Which part of a domain's data should a model be tuned on, so "
        f"that it learns the domain and forgets little else? {', '.join(counts)}: {_counted(trained, 'training')}. "
        f"Domains: {html.escape(', '.join(entry.title for entry in study.domains.values()))}.</p>\n",
        _claims_part(study, estimates) if study.claims else "",
        "<h2>What each arm gains, forgets and costs</h2>\n<p>Bars are 95 % intervals. The dotted line is the untuned "
        "model, the dashed one training on all records. The price is that of a user of this one arm, selecting and "
        "training; the stroke to its left reaches to what it took here, where arms shared passes over the data.</p>\n"
        '<div class="pictures">',
        picture(overview_figure(study, estimates), "what each arm gains, forgets and costs"),
        "</div>\n<h2>The main numbers</h2>\n",
        table_section(main_table(study, estimates)),
        f'<div class="local"><h2>All tables</h2>\n{link_list(_table_links(study))}<h2>All figures</h2>\n',
        f"{link_list(_figure_links(study))}</div>\n<h2>Words</h2>\n<dl>",
        *(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in TERMS.items()),
        "</dl>\n",
    ]
    return document(f"Study {study.study}", study.label, "".join(parts), list(links), OVERVIEW)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _claims_part(study: Study, estimates: Estimates) -> str:
    """Return the claims with their verdicts: rows over all domains only, where there are several."""
    table = claims_table(study, estimates)
    domain = table.header.index("domain")
    keep = list(range(len(table.header)))
    if len(study.domains) > 1:
        keep.remove(domain)
        blocks = [
            dataclasses.replace(block, rows=[row for row in block.rows if row[domain].text in (POOLED, "")])
            for block in table.blocks
        ]
        table = dataclasses.replace(table, blocks=[block for block in blocks if block.rows])
    # The last group is what was published.
    published = keep[-table.groups[-1][1] :]
    if not any(row[place].text for block in table.blocks for row in block.rows for place in published):
        keep = [place for place in keep if place not in published]
    few = (
        f"With fewer than {LEAST_SEEDS} seeds there are no verdicts: how much seeds differ is not known. "
        if len(study.seeds) < LEAST_SEEDS
        else ""
    )
    said = (
        f"<p>{few}{'Rows are over all domains. ' * (len(study.domains) > 1)}Single domains, and how verdicts come "
        'about: <a class="local" href="../tables/claims.html">table of claims</a>.'
        "</p>\n"
    )
    return f"<h2>What was asked, and what came out</h2>\n{said}{table_section(columns_at(table, keep))}"


def _table_links(study: Study) -> list[Link]:
    return [Link(one.title, f"../tables/{one.name}.html") for one in [*measured_tables(study), *selection_tables()]]


def _figure_links(study: Study) -> list[Link]:
    figures = [*measured_figures(study), *training_figures(), *selection_figures([])]
    return [Link(one.title, f"../figures/{one.name}.svg") for one in figures]


def domain_page(
    study: Study,
    domain: str,
    estimates: Estimates,
    tables: tuple[Table, Table],
    files: AnswerFiles,
    links: Collection[Link] = (),
) -> str:
    """Return a domain's page: its part of the tables of what was learnt and forgotten, figures, and answers.

    Args:
        study: the study.
        domain: whose page.
        estimates: of the study's long table.
        tables: the study's `domain_table` and `forgetting_table`, of which the domain's part is shown as it stands
            there, so that no number differs.
        files: records and answers.
        links: to the other pages.
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
    ]
    if changes := changed_items(study, files):
        shown += ["<h2>Benchmark items that changed</h2>\n", changes_section(study, changes)]
    asked = questions(study, domain, files)
    shown += [
        f"<h2>Answers side by side</h2>\n<p>{len(asked)} test records, drawn by the study's first seed from those that "
        "every run answers; the runs are those of that seed. Answers that reached the most tokens are marked as cut."
        "</p>\n",
        answers_section(study, asked),
    ]
    return document(title, study.label, "".join(shown), list(links), f"{domain}.html")


def columns_of(table: Table, title: str) -> Table:
    """Return a table with its first column and those of one group."""
    start = 0
    for name, width in table.groups:
        if name == title:
            break
        start += width
    return columns_at(table, [0, *range(start, start + width)])


def columns_at(table: Table, keep: Sequence[int]) -> Table:
    """Return a table with some of its columns, by their places."""
    titles = [(number, title) for number, (title, width) in enumerate(table.groups) for _ in range(width)]
    groups = [(title, len(list(columns))) for (_, title), columns in itertools.groupby(titles[place] for place in keep)]
    blocks = [
        dataclasses.replace(block, rows=[[row[place] for place in keep] for row in block.rows])
        for block in table.blocks
    ]
    return dataclasses.replace(table, groups=groups, header=[table.header[place] for place in keep], blocks=blocks)


def blocks_of(table: Table, titles: Collection[str]) -> Table:
    """Return a table with the blocks of these titles."""
    return dataclasses.replace(table, blocks=[block for block in table.blocks if block.title in titles])


def provenance_page(study: Study, manifest: Path, links: Collection[Link] = ()) -> str:
    """Return the page of the config as it was read, with all defaults, and of the manifest of the measurements."""
    config = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    # The settings of a manifest are the config again.
    made = {name: value for name, value in read_object(manifest).items() if name != "settings"}
    inputs = made.pop("inputs")
    parts = [
        ("What made the measurements", json.dumps(made, indent=1, ensure_ascii=False)),
        ("The config, with its defaults", config),
    ]
    body = "<h1>How the study was made</h1>\n"
    body += "".join(f"<h2>{title}</h2>\n{preformatted(text, title)}" for title, text in parts)
    hashes = "\n".join(f"{sha256}  {path}" for path, sha256 in inputs.items())
    body += f"<h2>What they were made from</h2>\n<details><summary>SHA-256 of {len(inputs)} files and folders</summary>"
    body += f"{preformatted(hashes, 'files and their SHA-256')}</details>\n"
    return document("How the study was made", study.label, body, list(links), PROVENANCE)
