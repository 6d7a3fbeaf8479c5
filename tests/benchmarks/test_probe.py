import json

import pytest

from benchmarks.probe import main

FEW = ["plain", "one-by-one-projected", "signals"]


@pytest.mark.long
def test_a_quick_run_ends_with_a_table_and_its_numbers(tmp_path, wordnet_archive):
    main(["--quick", "--threads", "1", "--scratch", str(tmp_path / "scratch"), "--out", str(tmp_path), "--only", *FEW])
    results = json.loads((tmp_path / "probe.json").read_text(encoding="utf-8"))
    page = (tmp_path / "probe.md").read_text(encoding="utf-8")
    assert [table["label"] for table in results["tables"]] == ["glossary, plain template", "glossary, chat template"]
    for table in results["tables"]:
        assert set(table["rows"]) == set(FEW)
        assert all(len(row["all_seconds"]) == 2 for row in table["rows"].values())
        assert table["rows"]["plain"]["ratios"]["plain"] == 1.0
        assert {(bar["ours"], bar["peer"]) for bar in table["bars"]} == {("signals", one) for one in FEW[:2]}
        assert [one["name"] for one in table["memory"]] == ["signals"]
    assert {series["label"] for series in results["series"]} == {"number of records", "tokens of a record"}
    assert all(set(series["slopes"]) == {"plain", "signals"} for series in results["series"])
    assert [peak["records"] for peak in results["memory"][0]["peaks"]] == [20, 200]
    assert page.count("\n## ") == 5
    assert "MedQuAD (name a file with --medquad)" in page


def test_an_unknown_contestant_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--only", "bergsen"])
    assert exit_.value.code == 2
    assert "did you mean 'bergson'?" in capsys.readouterr().err
