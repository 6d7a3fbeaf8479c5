from grads.tables.stage import make_measurements, make_tables


def test_tables_and_figures_come_from_the_long_table_alone_and_twice_the_same(study, make_cells, tmp_path):
    files = make_cells(study)
    for name in ("first", "second"):
        make_measurements(study, files, tmp_path / name / "measurements.parquet")
    for one in files:
        one.metrics.unlink()
    for name in ("first", "second"):
        root = tmp_path / name
        make_tables(study, root / "measurements.parquet", root / "tables", root / "figures")
    made = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    stems = [
        f"tables/{name}.{kind}" for name in ("cost", "domain", "forgetting") for kind in ("csv", "html", "md", "tex")
    ]
    figures = [
        f"figures/{name}.{kind}"
        for name in ("ratio", "tradeoff", "benchmarks", "efficiency")
        for kind in ("pdf", "svg")
    ]
    assert {str(path) for path in made} == {*stems, *figures, "measurements.parquet"}
    for path in made:
        if not path.name.endswith("manifest.json"):
            assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes()
