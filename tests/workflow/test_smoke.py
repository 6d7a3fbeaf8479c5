"""The whole workflow on a tiny random model, and what users rely on afterwards."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from grads.cli.report import RULES
from grads.study.grid import cells
from grads.study.reading import parse_study

CONFIG = ("--configfile", "smoke.yaml")
# One of the smoke study's domains; test_resume.py runs all of it.
CONTENT = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
CONTENT |= {"domains": {"sums": CONTENT["domains"]["sums"]}}
STUDY = parse_study(CONTENT)


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    (workspace.folder / "smoke.yaml").write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    workspace.printed = workspace.snakemake(*CONFIG)
    workspace.results = workspace.folder / "results" / "smoke"
    return workspace


def test_every_cell_is_in_the_tables(finished):
    measurements = pd.read_parquet(finished.results / "measurements.parquet")
    found = set(measurements[["model", "domain", "arm", "ratio", "seed"]].itertuples(index=False, name=None))
    assert found == {(c.model, c.domain, c.arm, c.ratio, c.seed) for c in cells(STUDY)}
    for table in ("domain", "forgetting", "cost"):
        for suffix in ("csv", "md", "tex"):
            assert "SMOKE" in (finished.results / "tables" / f"{table}.{suffix}").read_text() or suffix == "csv"
    for name in ("overlap", "subsets", "extremes"):
        assert "grads_density" in (finished.results / "tables" / f"{name}.md").read_text()
    overlap = pd.read_csv(finished.results / "tables/overlap.csv")
    assert len(overlap) == 6
    assert overlap["jaccard"].between(0, 1).all()
    figures = (
        "differences",
        "ratio",
        "tradeoff",
        "benchmarks",
        "efficiency",
        "curves",
        "overlap",
        "magnitudes",
        "overview",
    )
    for figure in figures:
        assert (finished.results / "figures" / f"{figure}.svg").read_text().count("<path") > 10
        assert (finished.results / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")


def test_the_run_ends_with_the_table_and_the_paths(finished):
    assert re.search(r"grads_density@0\.5", finished.printed)
    assert "results/smoke/tables" in finished.printed
    assert "--report results/smoke/report.html" in finished.printed


def test_progress_names_the_cell(finished):
    assert re.search(r"train tiny/sums/full/1/0: \d+/6 steps", finished.printed)
    assert re.search(r"evaluate tiny/sums/grads/0.5/0, answers: \d+/8 records", finished.printed)


def test_every_trained_arm_changed_the_model(finished):
    for cell in cells(STUDY):
        if cell.trained:
            general = json.loads((finished.results / "runs" / str(cell) / "general.json").read_text())
            assert general["drift"]["kl"] > 1e-6, cell


def test_arms_trained_on_what_was_selected(finished):
    for arm, records in {"full": 24, "random": 12, "grads": 12, "full_steps": 24}.items():
        ratio = "1" if arm == "full" else "0.5"
        summary = json.loads((finished.results / f"runs/tiny/sums/{arm}/{ratio}/0/training.json").read_text())
        assert summary["records"] == records
        # 24 records, 2 epochs, batches of 8: 6 steps; half of them: 3 steps.
        assert summary["steps"] == (6 if arm == "full" else 3)


def test_artefacts_have_manifests(finished):
    manifest = json.loads((finished.results / "runs/tiny/sums/grads/0.5/0/adapter.manifest.json").read_text())
    assert manifest["settings"]["rule"] == "train"
    assert manifest["settings"]["micro_batch"] == 8
    assert set(manifest["inputs"]) == {
        "results/smoke/models/tiny",
        "results/smoke/data/sums/train.parquet",
        "results/smoke/selections/tiny/sums/grads/0.5/0.parquet",
        "results/smoke/selections/tiny/sums/grads/0.5/0.json",
    }
    made = {str(path.parent.relative_to(finished.results)) for path in finished.results.rglob("*.manifest.json")}
    assert {".", "data/sums", "general", "models", "signals/tiny/sums", "tables", "figures"} <= made


def test_no_test_record_is_trained_on(finished):
    for domain in STUDY.domains:
        parts = {
            part: pd.read_parquet(finished.results / f"data/{domain}/{part}.parquet")
            for part in ("train", "validation", "test")
        }
        assert not set(parts["train"]["id"]) & set(parts["test"]["id"])
        for selection in (finished.results / "selections/tiny" / domain).rglob("*.parquet"):
            assert set(pd.read_parquet(selection)["id"]) <= set(parts["train"]["id"])


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned(*CONFIG) == {}
    assert "Nothing to be done" in finished.snakemake(*CONFIG)


def test_a_comment_in_the_probe_re_runs_nothing(finished):
    path = finished.folder / "grads/probing/gradients/passes.py"
    original = path.read_text()
    path.write_text(original.replace("\ndef ", "\n# a comment\ndef ", 1) + "\n# the end\n")
    assert finished.planned(*CONFIG) == {}
    path.write_text(original)


def test_a_comment_in_a_job_re_runs_nothing_and_a_statement_does(finished):
    path = finished.folder / "grads/training/job.py"
    original = path.read_text()
    path.write_text(original + "\n# the end\n")
    assert finished.planned(*CONFIG) == {}
    path.write_text(original.replace("            label=self.label,", "            label=self.label + '',"))
    planned = finished.planned(*CONFIG)
    path.write_text(original)
    assert {"train_warm", "train", "evaluate", "tables"} <= set(planned)
    assert not {"prepare_domains", "prepare_model", "probe_tokens", "probe_base", "evaluate_untuned"} & set(planned)


def test_code_of_the_probe_re_runs_the_probe_and_what_follows(finished):
    path = finished.folder / "grads/probing/gradients/passes.py"
    original = path.read_text()
    path.write_text(original + "\nADDED = 1\n")
    planned = finished.planned(*CONFIG)
    path.write_text(original)
    assert planned["probe_warm"] == 1
    assert {"select", "train", "evaluate", "metrics", "measurements", "tables"} <= set(planned)
    assert not {"prepare_domains", "prepare_model", "train_warm", "evaluate_untuned"} & set(planned)


def test_the_wording_of_the_label_re_runs_tables_only(finished):
    planned = finished.planned(*CONFIG, "--config", "label=Another")
    assert set(planned) == {"measurements", "tables", "selection_tables", "curves", "pages"}


TASKS = {"products": {"title": "Times", "chance": 0.4}}
WORDS = {"domains": {"sums": {"title": "Additions"}}, "general": {"tasks": TASKS}}


@pytest.mark.parametrize(
    ("change", "wanted", "unwanted"),
    [
        # No preliminary epoch has more than its own.
        ({"training": {"epochs": 3}}, {"train"}, {"train_warm", "probe_warm", "select"}),
        (WORDS, {"tables"}, {"prepare_domains", "prepare_general", "train", "evaluate"}),
        ({"general": {"text": {"max_tokens": 16}}}, {"evaluate"}, {"prepare_general", "train"}),
        # The untrained weights are probed once for all seeds, in whatever order.
        ({"seeds": [1, 0]}, {"train", "probe_warm"}, {"probe_base", "prepare_domains"}),
    ],
)
def test_a_setting_re_runs_what_reads_it(finished, change, wanted, unwanted):
    content = yaml.safe_load((finished.folder / "smoke.yaml").read_text())
    (finished.folder / "changed.yaml").write_text(yaml.safe_dump(merged(content, change)))
    planned = finished.planned("--configfile", "changed.yaml")
    assert wanted <= set(planned)
    assert not unwanted & set(planned)
    assert planned.get("probe_warm", 1) == 1


def merged(content, change):
    """Return a config with some of its values replaced, at any depth."""
    return content | {
        key: merged(content[key], value) if isinstance(value, dict) else value for key, value in change.items()
    }


def test_a_users_config_runs_the_users_domains_only(finished):
    mine = finished.folder / "mine.yaml"
    text = (finished.folder / "config/smoke.yaml").read_text()
    mine.write_text(re.sub(r"  plurals:\n.*\n.*\n", "", text).replace("study: smoke", "study: mine"))
    planned = finished.planned("--configfile", "mine.yaml")
    assert planned["train"] == 6
    assert planned["probe_base"] == 1
    assert not (finished.folder / "results/mine").exists()


def test_a_mistake_in_the_config_is_one_sentence(finished):
    output = finished.snakemake(*CONFIG, "-n", "--config", "trainin={}", fails=True)
    assert "unknown key 'trainin': did you mean 'training'?" in output
    assert "Traceback" not in output


def report(workspace, *options):
    """Run `grads report` on the study; return its exit status and what it printed."""
    call = [sys.executable, "-m", "grads.cli.main", "report", "smoke.yaml", *options]
    done = subprocess.run(call, cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_report_makes_what_is_missing_of_it_and_no_more(finished):
    page = finished.results / "pages/index.html"
    text = page.read_text()
    page.unlink()
    status, printed = report(finished)
    assert status == 0, printed
    assert "report: results/smoke/pages/index.html" in printed
    assert [rule for rule in RULES if f"{rule}: there already" in printed] == [one for one in RULES if one != "pages"]
    assert page.read_text() == text
    assert finished.planned(*CONFIG) == {}


def test_the_report_of_an_unfinished_study_is_of_its_finished_cells(finished):
    metrics = finished.results / "runs/tiny/sums/full/1/0/metrics.json"
    metrics.rename(metrics.with_suffix(".away"))
    try:
        status, printed = report(finished)
        refused = report(finished, "--paper")
    finally:
        metrics.with_suffix(".away").rename(metrics)
    assert status == 0, printed
    assert "report: results/smoke/partial/pages/index.html" in printed
    assert "PARTIAL: 6 of 7 cells" in (finished.results / "partial/pages/index.html").read_text()
    answers = (finished.results / "partial/pages/sums.html").read_text().partition("Answers side by side")[2]
    assert "<td><span>grads@0.5</span></td>" in answers
    assert "<td><span>full</span></td>" not in answers
    assert refused[0] == 2
    assert "--paper" in refused[1]


def test_the_report_renders(finished):
    finished.snakemake(*CONFIG, "--report", "results/smoke/report.html")
    page = (finished.results / "report.html").read_text()
    for word in ("SMOKE TEST", "forgetting", "tradeoff", "Provenance", "efficiency", "One seed."):
        assert word in page


@pytest.mark.slow
def test_report_and_pages_open_in_a_browser(finished, browser):
    finished.snakemake(*CONFIG, "--report", "results/smoke/report.html")
    document, messages = browser(finished.results / "report.html")
    assert not [line for line in messages if "rror" in line]
    assert "Provenance" in document
    table = pd.read_csv(finished.results / "tables/domain.csv")
    shown = [f"{value:.2f}" for value in table[table["metric"] == "bleu"]["value"]]
    assert len(shown) == 7
    for page in ("tables/domain", "pages/index", "pages/sums"):
        document, messages = browser(finished.results / f"{page}.html")
        assert messages == []
        assert all(f">{value}<" in document for value in shown)
    records = pd.read_parquet(finished.results / "data/sums/test.parquet")
    assert sum(html.escape(text, quote=False) in document for text in records["instruction"]) == 8
