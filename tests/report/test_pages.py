import pandas as pd
import pytest
import yaml

from grads.config.study import Study
from grads.report.building.domain import domain_table
from grads.report.building.forgetting import forgetting_table
from grads.report.files import AnswerFiles, answer_files
from grads.report.measurements import collect
from grads.report.pages import columns_of, domain_page, provenance_page
from grads.report.statistics.estimates import Estimates
from grads.runtime.files import write_json


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


def test_a_domains_page_has_its_numbers_and_figures(study, estimates, tmp_path):
    for split, count in (("train", 20), ("validation", 2), ("test", 6)):
        records = pd.DataFrame(
            {"id": [str(n) for n in range(count)], "instruction": "Why?", "input": "", "output": "So"}
        )
        records.to_parquet(tmp_path / f"{split}.parquet")
    files = AnswerFiles({split: tmp_path / f"{split}.parquet" for split in ("train", "validation", "test")}, {})
    tables = domain_table(study, estimates), forgetting_table(study, estimates)
    page = domain_page(study, "tax", estimates, tables, files)
    assert "Records: 20 train, 2 validation, 6 test." in page
    assert page.count('<img alt="Tax: ') == 4
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
    config = page.split("with its defaults</h2>\n<pre>")[1].split("</pre>")[0]
    resolved = yaml.safe_load(
        config.replace("&amp;", "&").replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
    )
    assert Study.model_validate(resolved) == study
    assert resolved["training"]["weights"] == "lora"
