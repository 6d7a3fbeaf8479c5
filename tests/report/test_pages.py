import html
import re

import pandas as pd
import pytest
import yaml

from grads.config.study import Study
from grads.report.building.domain import domain_table
from grads.report.building.forgetting import forgetting_table
from grads.report.building.main import main_table
from grads.report.files import AnswerFiles, answer_files
from grads.report.measurements import collect
from grads.report.pages import columns_of, domain_page, make_pages, overview_page, provenance_page
from grads.report.statistics.estimates import Estimates
from grads.runtime.files import write_json
from grads.study.reading import parse_study


@pytest.fixture
def estimates(study, make_cells):
    return Estimates(collect(study, make_cells(study)))


def test_a_domain_has_its_columns_and_no_others(study, estimates):
    whole = domain_table(study, estimates)
    for start, title in ((1, "Law"), (6, "Tax")):
        part = columns_of(whole, title)
        assert part.groups == [("", 1), (title, 5)]
        assert part.header == [whole.header[0], *whole.header[start : start + 5]]
        assert part.blocks[0].rows == [[row[0], *row[start : start + 5]] for row in whole.blocks[0].rows]


@pytest.fixture
def files(tmp_path):
    """The files of a domain's records, without answers."""
    for split, count in (("train", 20), ("validation", 2), ("test", 6)):
        records = pd.DataFrame(
            {"id": [str(n) for n in range(count)], "instruction": "Why?", "input": "", "output": "So"}
        )
        records.to_parquet(tmp_path / f"{split}.parquet")
    return AnswerFiles({split: tmp_path / f"{split}.parquet" for split in ("train", "validation", "test")}, {})


def test_a_domains_page_has_its_numbers_and_figures(study, estimates, files):
    tables = domain_table(study, estimates), forgetting_table(study, estimates)
    page = domain_page(study, "tax", estimates, tables, files)
    assert "Records: 20 train, 2 validation, 6 test." in page
    assert page.count('<img alt="Tax: ') == 5
    assert page.count(study.label.replace("&", "&amp;")) == 1
    assert "tuned on Tax" in page
    assert "tuned on Law" not in page
    for row in columns_of(tables[0], "Tax").blocks[0].rows:
        assert all(f">{entry.text}<" in page for entry in row)


def test_answers_are_those_of_the_first_seed(config):
    study = Study.model_validate(config | {"seeds": [3, 4]})
    predictions = answer_files(study, "law").predictions
    assert {cell.seed for cell in predictions} == {0, 3}
    assert len(predictions) == 5
    assert str(predictions[next(cell for cell in predictions if cell.arm == "full")]) == (
        "results/toy/runs/tiny/law/full/1/3/predictions.jsonl"
    )


def test_provenance_is_the_config_with_its_defaults_and_the_manifest(study, tmp_path):
    write_json(tmp_path / "m.json", {"git": "abc<def", "settings": {"x": 1}, "inputs": {"a/b": "12ef"}})
    page = provenance_page(study, tmp_path / "m.json")
    assert "abc&lt;def" in page
    assert "12ef  a/b" in page
    config = page.split("with its defaults</h2>\n<pre")[1].partition(">")[2].split("</pre>")[0]
    resolved = yaml.safe_load(
        config.replace("&amp;", "&").replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
    )
    assert Study.model_validate(resolved) == study
    assert resolved["training"]["weights"] == "lora"


def test_the_overview_has_the_main_numbers_and_each_claim_once_with_its_verdict(config, make_cells):
    claims = ["full beats random@0.5 on meteor", "random@0.5 forgets less than full on kl"]
    config["claims"] = [{"claim": one} for one in claims]
    study = parse_study(config | {"seeds": [0, 1, 2]})
    estimates = Estimates(collect(study, make_cells(study)))
    page = overview_page(study, estimates, [])
    for claim in claims:
        assert page.count(f"<td><span>{claim}</span></td>") == 1
    assert re.search("supported|refuted|undecided|nothing", page)
    assert "2 domains" in page
    assert "3 seeds" in page
    # Four runs that train (full, random twice, density) on two domains with three seeds.
    assert "24 trainings" in page
    for row in main_table(study, estimates).blocks[0].rows:
        assert all(f">{html.escape(entry.text)}<" in page for entry in row)


def test_a_study_without_claims_or_verdicts_has_an_overview(config, study, estimates):
    assert "What was asked" not in overview_page(study, estimates, [])
    claimed = parse_study(config | {"claims": [{"claim": "full beats random@0.5 on meteor"}]})
    assert "fewer than 3 seeds there are no verdicts" in overview_page(claimed, estimates, [])


def test_pages_lead_to_each_other_and_to_every_table_and_figure(study, estimates, files, tmp_path):
    folder = tmp_path / "pages"
    write_json(tmp_path / "m.json", {"git": "a", "settings": {}, "inputs": {}})
    make_pages(study, estimates, {"law": files}, folder, tmp_path / "m.json")
    assert {path.name for path in folder.iterdir()} == {"index.html", "law.html", "provenance.html"}
    for path in folder.iterdir():
        text = path.read_text()
        links = re.findall(r"<nav.*</nav>", text)[0]
        assert re.findall(r'href="([^"]*)"', links) == ["index.html", "law.html", "provenance.html"]
        assert re.findall(r'href="([^"]*)" aria-current="page"', links) == [path.name]
    found = re.findall(r'href="[.][.]/([^"]*)"', (folder / "index.html").read_text())
    assert {"tables/main.html", "tables/extremes.html", "figures/tradeoff.svg", "figures/curves.svg"} <= set(found)
