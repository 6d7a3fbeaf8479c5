"""The comparison of two states of the code: what it says of prepared folders, and how it gets its sides."""

import json
import subprocess

import pandas as pd
import pytest

from tests.golden import compare

SELECTION = "selections/tiny/sums/grads/0.5/0.parquet"
ANSWERS = "runs/tiny/sums/grads/0.5/0/predictions.jsonl"
CROSS = "runs/tiny/sums/grads/0.5/0/cross/predictions/plurals.jsonl"
TABLE = "tables/cost.csv"
STUDY = "study: small  # its name\ndomains: {sums: {source: {path: data/sums.jsonl}}, other: {path: not/there.jsonl}}\n"


def write(results, score=0.5, kept=True, answer="Two.", flops=10, seconds=1.5, rows=2):
    """Write what a study leaves, and what is not compared."""
    for name in (SELECTION, ANSWERS, CROSS, TABLE, "signals/tiny/sums/base/signals.parquet"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"id": ["a", "b"], "score": [score, 0.25], "kept": [kept, True], "weight": [1.0, None]})
    frame.to_parquet(results / SELECTION)
    frame.assign(other=seconds).to_parquet(results / "signals/tiny/sums/base/signals.parquet")
    for name in (ANSWERS, CROSS):
        lines = [{"id": f"t{n}", "prediction": answer, "response_nll": 0.1, "seconds": seconds} for n in range(rows)]
        (results / name).write_text("\n".join(map(json.dumps, lines)) + "\n")
    table = pd.DataFrame({"arm": ["full", "grads"], "training_flops": [5, flops], "as_run_seconds": [seconds, 2.0]})
    table.to_csv(results / TABLE, index=False)
    return results


@pytest.fixture
def pair(tmp_path):
    """Return a function that writes two results of a study, the second changed, and compares them."""

    def made(**change):
        findings = compare.compare_results(write(tmp_path / "a"), write(tmp_path / "b", **change))
        return {finding.path: finding.lines for finding in findings}

    return made


def test_seconds_and_other_files_are_not_compared(pair):
    assert pair(seconds=9.0) == {SELECTION: [], ANSWERS: [], CROSS: [], TABLE: []}


def test_a_score_that_differs_in_its_last_digit_is_a_difference(pair):
    found = pair(score=0.5000000000000001)
    assert [path for path, lines in found.items() if lines] == [SELECTION]
    (line,) = found[SELECTION]
    assert "(a)" in line
    assert "score: 0.5 -> 0.5000000000000001" in line
    assert "kept" not in line


def test_flops_are_compared_and_the_row_is_named(pair):
    assert pair(flops=11)[TABLE] == ["row 1 (grads): training_flops: 10 -> 11"]


def test_the_first_rows_of_many_are_shown(pair):
    found = pair(answer="Three.", rows=2)
    assert len(found[ANSWERS]) == len(found[CROSS]) == 2
    left, right = (pd.DataFrame({"id": range(9), "value": values}) for values in (range(9), range(1, 10)))
    lines = compare.frame_differences(left, right)
    assert len(lines) == compare.ROWS_SHOWN + 1
    assert "4 rows more" in lines[-1]


def test_rows_and_columns_that_one_side_lacks_are_named(pair):
    assert pair(rows=3)[ANSWERS] == ["2 rows in A, 3 in B"]
    left = pd.DataFrame({"id": ["a"], "old": [1], "same": [1]})
    (line,) = compare.frame_differences(left, left.rename(columns={"old": "new"}))
    assert "A ['old']" in line
    assert "B ['new']" in line
    assert compare.frame_differences(left, left[["old", "id", "same"]]) == ["columns in another order"]


def test_a_file_that_one_side_lacks_is_a_difference(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    (second / ANSWERS).unlink()
    (first / TABLE).unlink()
    found = {finding.path: finding.lines for finding in compare.compare_results(first, second)}
    assert (found[ANSWERS], found[TABLE], found[SELECTION]) == (["only in A"], ["only in B"], [])


def test_two_sides_without_results_are_not_equal(tmp_path):
    with pytest.raises(compare.CompareError, match="neither"):
        compare.compare_results(tmp_path / "a", tmp_path / "b")


def test_the_report_says_every_file_and_counts_each_kind(tmp_path):
    findings = compare.compare_results(write(tmp_path / "a"), write(tmp_path / "b", flops=11))
    lines = list(compare.report("core", findings))
    assert [line.split()[1] for line in lines if line.startswith("differs")] == [f"core/{TABLE}"]
    assert sum(line.startswith("equal") for line in lines) == 3
    assert lines[-3:] == [
        "core: selections: 1 compared, 0 differ",
        "core: predictions: 2 compared, 0 differ",
        "core: tables: 1 compared, 1 differ",
    ]


def test_which_records_are_kept_is_told_apart_from_their_scores_and_order():
    frame = pd.DataFrame({"id": ["a", "b", "c"], "score": [3.0, 2.0, 1.0], "kept": [True, True, False]})
    assert compare.kept_ids(frame) == compare.kept_ids(frame.assign(score=0.0).iloc[::-1])
    assert compare.kept_ids(frame) != compare.kept_ids(frame.assign(kept=[True, False, True]))


@pytest.fixture
def repository(tmp_path):
    """A repository of one commit, then a change, a new file, a deleted one and ignored ones that are not committed."""
    root = tmp_path / "repository"
    golden = root / "tests/golden/small"
    golden.mkdir(parents=True)
    files = {"Snakefile": "old", "gone.txt": "", ".gitignore": "results/\nresources\n", "data/sums.jsonl": "{}"}
    files |= {"tests/golden/small/study.yaml": STUDY, "tests/golden/small/cost.csv": ""}
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    person = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*person, "commit", "-qm", "First")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)
    (root / "Snakefile").write_text("new")
    (root / "added.txt").write_text("")
    (root / "gone.txt").unlink()
    for name in ("results/small", "resources/pypi", "resources/wordnet"):
        (root / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("side", "content", "has", "lacks"),
    [("HEAD", "old", "gone.txt", "added.txt"), ("WORKTREE", "new", "added.txt", "gone.txt")],
)
def test_a_side_is_the_commit_or_the_files_as_they_lie(repository, tmp_path, side, content, has, lacks):
    out = tmp_path / "copies/a"
    compare.check_out(side, repository, out)
    assert (out / "Snakefile").read_text() == content
    assert (out / has).is_file()
    assert not (out / lacks).exists()
    assert not (out / "results").exists()
    # Downloads are shared; what jobs make of them is each side's own.
    assert {path.name for path in (out / "resources").iterdir()} == {"pypi"}
    assert [path.name for path in out.parent.iterdir()] == ["a"]


def test_a_path_is_a_side_and_an_unknown_commit_is_refused(repository, tmp_path):
    compare.check_out(str(repository), tmp_path, tmp_path / "a")
    assert (tmp_path / "a/Snakefile").read_text() == "new"
    with pytest.raises(compare.CompareError, match="no-such-branch"):
        compare.check_out("no-such-branch", repository, tmp_path / "b")


def test_a_study_is_lent_with_what_it_reads(repository, tmp_path):
    (study,) = compare.golden_studies(repository).values()
    assert (study.name, study.targets) == ("small", ["results/small/tables/cost.csv"])
    borrower = tmp_path / "borrower"
    (borrower / "data").mkdir(parents=True)
    (borrower / "data/sums.jsonl").write_text("of its own")
    with pytest.raises(compare.CompareError, match=r"study\.yaml"):
        compare.golden_studies(borrower)
    compare.lend({"small": study}, repository, borrower)
    assert compare.golden_studies(borrower) == {"small": study}
    assert (borrower / "data/sums.jsonl").read_text() == "{}"
    assert not (borrower / "not").exists()


def test_the_exit_status_tells_equal_from_different_and_from_failed(repository, monkeypatch, capsys):
    """Both sides are run by a stand-in for Snakemake, which writes the Snakefile's text into a table."""

    def run(study, checkout, _jobs, _label):
        write(checkout / study.results, answer=(checkout / "Snakefile").read_text())

    monkeypatch.chdir(repository)
    monkeypatch.setattr(compare, "run_study", run)
    assert compare.main(["HEAD", "HEAD"]) == 0
    assert compare.main(["HEAD", "WORKTREE"]) == 1
    assert 'prediction: "old" -> "new"' in capsys.readouterr().out
    assert compare.main(["HEAD", "WORKTREE", "--only", "large"]) == 2
    assert "large" in capsys.readouterr().err
    assert compare.main(["HEAD", "WORKTREE", "--keep", str(repository)]) == 2
    assert compare.main(["nobody", "WORKTREE"]) == 2


def test_a_side_that_fails_is_named_with_the_end_of_what_it_printed(repository, tmp_path, monkeypatch):
    (study,) = compare.golden_studies(repository).values()
    code = "import os; print(os.environ['PYTHONPATH']); raise SystemExit(3)"
    monkeypatch.setattr(compare, "snakemake", lambda study, jobs: [compare.sys.executable, "-c", code])
    with pytest.raises(compare.CompareError, match=r"A \(main\)(.|\n)*small") as caught:
        compare.run_study(study, repository, 1, "A (main)")
    assert str(repository) in str(caught.value).splitlines()[-1]
