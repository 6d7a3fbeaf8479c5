from pathlib import Path

from rich.console import Console

from grads.report.measurements import collect, write_measurements
from grads.report.rendering.terminal import summary
from grads.study.reading import parse_study


def test_summary_shows_main_table_and_paths(study, make_cells, tmp_path):
    frame = collect(study, make_cells(study))
    write_measurements(frame, tmp_path / "m.parquet")
    console = Console(width=80, record=True, file=(tmp_path / "out.txt").open("w"))
    shown = {"tables": Path("results/toy/tables"), "figures": Path("results/toy/figures")}
    summary(study, tmp_path / "m.parquet", shown, "snakemake --report report.html", console)
    text = console.export_text()
    assert study.label in text
    assert "tables    results/toy/tables" in text
    assert "one file  snakemake --report report.html" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    mine = frame[(frame["arm"] == "full") & (frame["part"] != "cost")].set_index(["domain", "metric"])["value"]
    drift = (mine["law", "kl"] + mine["tax", "kl"]) / 2
    numbers = [f"{mine[domain, m]:.{d}f}" for domain in ("law", "tax") for m, d in (("bleu", 2), ("meteor", 3))]
    assert rows["full"] == [*numbers, f"{drift:.3f}"]
    assert max(map(len, text.splitlines())) <= 80


def test_brackets_in_titles_are_text(config, make_cells, tmp_path):
    config["label"] = "see [/notes] and [bold]this"
    config["models"]["tiny"]["title"] = "[red]Tiny"
    config["domains"]["law"]["title"] = "[b]Law"
    study = parse_study(config)
    write_measurements(collect(study, make_cells(study)), tmp_path / "m.parquet")
    console = Console(width=80, record=True, file=(tmp_path / "out.txt").open("w"))
    summary(study, tmp_path / "m.parquet", {}, "snakemake", console)
    text = console.export_text()
    for title in (study.label, "[red]Tiny", "[b]Law"):
        assert title in text
