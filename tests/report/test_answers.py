import json

import pandas as pd
import pytest

from grads.report.answers import SHOWN, answers_section, questions
from grads.report.files import AnswerFiles
from grads.runtime.errors import GradsError
from grads.study.grid import cells
from grads.study.reading import parse_study


@pytest.fixture
def answered(tmp_path):
    """Return a function that writes 60 test records of a domain, and an answer to each by every cell of a study."""

    def write(study):
        ids = [f"r{n:02}" for n in range(60)]
        records = {"id": ids, "instruction": [f"What is <{i}>?" for i in ids], "input": "", "output": "R & D"}
        pd.DataFrame(records).to_parquet(tmp_path / "test.parquet")
        predictions = {}
        for cell in cells(study):
            if cell.domain == "law" and cell.seed == 0:
                predictions[cell] = tmp_path / f"{cell.arm}-{cell.ratio}.jsonl"
                rows = [{"id": i, "prediction": f"{cell.arm} <script>{i}", "capped": i < "r05"} for i in ids]
                predictions[cell].write_text("".join(json.dumps(row) + "\n" for row in rows))
        return AnswerFiles({"test": tmp_path / "test.parquet"}, predictions)

    return write


def test_every_run_answers_the_same_questions(study, answered):
    found = questions(study, "law", answered(study))
    assert len(found) == SHOWN == len({one.text for one in found})
    for one in found:
        id_ = one.text[9:12]
        assert one.text == f"What is <{id_}>?"
        assert one.reference == "R & D"
        assert {(cell.arm, cell.ratio) for cell in one.answers} == {
            ("untuned", "0"),
            ("full", "1"),
            ("random", "0.05"),
            ("random", "0.5"),
            ("grads_density", "0.5"),
        }
        for cell, (answer, capped) in one.answers.items():
            assert answer == f"{cell.arm} <script>{id_}"
            assert capped == (id_ < "r05")


def test_the_seed_draws_the_questions(config, study, answered):
    files = answered(study)
    drawn = [one.text for one in questions(study, "law", files)]
    assert drawn == [one.text for one in questions(study, "law", files)]
    assert drawn != [one.text for one in questions(parse_study(config | {"seeds": [7]}), "law", files)]


def test_texts_are_escaped_and_cut_answers_marked(study, answered):
    text = answers_section(study, questions(study, "law", answered(study)))
    assert "<script>" not in text
    assert "full &lt;script&gt;r" in text
    assert "What is &lt;r" in text
    assert text.count("R &amp; D") == SHOWN
    assert "random@0.05" in text


def answers_of(files, arm):
    return next(path for cell, path in files.predictions.items() if cell.arm == arm)


def test_questions_are_drawn_from_those_that_every_run_answers(study, answered):
    """A model leaves out test records whose prompts fill `training.max_length`; which, its tokenizer says."""
    files = answered(study)
    whole = [one.text for one in questions(study, "law", files)]
    full, random = answers_of(files, "full"), answers_of(files, "random")
    full.write_text("".join(line for line in full.read_text().splitlines(True) if whole[0][9:12] not in line))
    random.write_text("".join(random.read_text().splitlines(True)[:-1]))
    found = [one.text for one in questions(study, "law", files)]
    assert len(found) == SHOWN
    assert whole[0] not in found
    assert found[: SHOWN - 2] == [text for text in whole if text in found][: SHOWN - 2]
    assert not any("r59" in text for text in found)


def test_a_run_without_answers_is_named(study, answered):
    files = answered(study)
    answers_of(files, "full").write_text("")
    with pytest.raises(GradsError, match=r"of 'law' is answered by every run, and .*full-1\.jsonl has the fewest"):
        questions(study, "law", files)
