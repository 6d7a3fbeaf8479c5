"""BLEU: sacrebleu's command line on the same texts, and the counts that the bootstrap sums."""

import json
import subprocess
import sys

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import BLEU

from grads.evaluation.metrics.contract import Setting, references
from grads.evaluation.metrics.registry import find_metric
from grads.evaluation.metrics.tokenizing import reference_streams
from grads.report.measurements import domain_items
from grads.report.statistics.bootstrap import evaluate

NAMES = ["bleu", "chrf"]


def command_line(folder, name, rows, *options):
    """Return score and signature by sacrebleu's command line, each place of the references in a file of its own."""
    most = max(len(references(row)) for row in rows)
    columns = [[references(row)[k] if k < len(references(row)) else "" for row in rows] for k in range(most)]
    files = []
    for number, lines in enumerate([[row["prediction"] for row in rows], *columns]):
        files.append(folder / f"{number}.txt")
        files[-1].write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *map(str, files[1:]), "-i", str(files[0]), "-m", name, "-w", "10"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    return found["score"], found["signature"]


@pytest.mark.parametrize("name", NAMES)
def test_one_reference_is_sacrebleus_command_line(tmp_path, rows, name):
    found = find_metric(name).compute(rows, Setting())
    score, signature = command_line(tmp_path, name, rows)
    assert found["value"] == pytest.approx(score, abs=1e-9)
    assert found["signature"] == signature


@pytest.mark.parametrize("name", NAMES)
def test_several_references_are_sacrebleus_command_line(tmp_path, several, name):
    """In files every line has all references: those that are missing repeat the first, which changes no score."""
    padded = [row | {"references": [*row.get("references", []), row["reference"]][:2]} for row in several]
    padded = [row | {"references": (row["references"] * 2)[:2]} for row in padded]
    found = find_metric(name).compute(padded, Setting())
    score, signature = command_line(tmp_path, name, padded)
    assert found["value"] == pytest.approx(score, abs=1e-9)
    assert found["signature"] == signature
    assert signature.startswith("nrefs:3|")
    ragged = find_metric(name).compute(several, Setting())
    assert ragged["value"] == pytest.approx(found["value"], abs=1e-9)
    assert ragged["signature"] == signature.replace("nrefs:3", "nrefs:var")


def test_chinese_is_sacrebleus_command_line(tmp_path, chinese):
    rows = [row | {"references": []} for row in chinese]
    found = find_metric("bleu").compute(rows, Setting("zh"))
    assert found["value"] == pytest.approx(command_line(tmp_path, "bleu", rows, "-tok", "zh")[0], abs=1e-9)
    assert "|tok:zh|" in found["signature"]
    # Without it whole clauses would be words, and nothing would match.
    assert find_metric("bleu").compute(rows, Setting())["value"] < found["value"] / 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_counts_of_items_sum_to_the_corpus_value(several, chinese, name, language):
    """The bootstrap sums these counts: on the items as they are it must give the value itself."""
    found = find_metric(name).compute(chinese if language == "zh" else several, Setting(language))
    statistic, items = domain_items(name, found)
    assert evaluate(statistic, np.array(items, dtype=float)) == pytest.approx(found["value"], rel=1e-12)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lengths_are_sacrebleus_own(several, chinese, language):
    """Those that its score has, and its command line prints: BP, ratio, hyp_len and ref_len."""
    rows = chinese if language == "zh" else several
    found = find_metric("bleu").compute(rows, Setting(language))
    tokenizer = {"en": "13a", "zh": "zh"}[language]
    score = BLEU(tokenize=tokenizer).corpus_score([row["prediction"] for row in rows], reference_streams(rows))
    names = {"brevity_penalty": "bp", "length_ratio": "ratio", "sys_len": "sys_len", "ref_len": "ref_len"}
    assert {name: found[name] for name in names} == {name: getattr(score, one) for name, one in names.items()}
    assert found["length_ratio"] == found["sys_len"] / found["ref_len"]
    assert found["brevity_penalty"] == pytest.approx(min(1, np.exp(1 - 1 / found["length_ratio"])))


def test_the_length_ratio_is_that_of_summed_lengths(several):
    found = find_metric("bleu").compute(several, Setting())
    lengths = np.array([[one["sys_len"], one["ref_len"]] for one in found["counts"]], dtype=float)
    assert evaluate("length_ratio", lengths) == found["length_ratio"]
    assert evaluate("length_ratio", np.array([[0.0, 0.0]])) == 0


def test_answers_that_are_longer_have_no_penalty():
    found = find_metric("bleu").compute([{"reference": "a b", "prediction": "a b c d"}], Setting())
    assert (found["brevity_penalty"], found["length_ratio"]) == (1, 2)
    empty = find_metric("bleu").compute([{"reference": "a b", "prediction": ""}], Setting())
    assert (empty["brevity_penalty"], empty["length_ratio"]) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_any_part_of_the_items_sums_to_its_own_corpus_value(several, name):
    found = find_metric(name).compute(several, Setting())
    statistic, items = domain_items(name, found)
    for chosen in ([0, 1], [1, 3, 3], [4, 2, 0, 0]):
        alone = find_metric(name).compute([several[i] for i in chosen], Setting())
        assert evaluate(statistic, np.array([items[i] for i in chosen], dtype=float)) == pytest.approx(alone["value"])


def test_the_reference_nearest_in_length_counts():
    row = {"reference": "a b c d e f g h", "prediction": "a b c d", "references": ["a b c", "a b c d e"]}
    (counts,) = find_metric("bleu").compute([row], Setting())["counts"]
    assert (counts["sys_len"], counts["ref_len"]) == (4, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_items_does_not_matter(several, name):
    found, turned = (find_metric(name).compute(given, Setting()) for given in (several, several[::-1]))
    assert found["value"] == turned["value"]
    assert found["items"] == turned["items"][::-1]
    assert found["counts"] == turned["counts"][::-1]


def test_items_of_bleu_are_for_display_and_never_zero_for_short_answers():
    """With effective order, as sacrebleu's own sentence scores: a right answer of one word has 100."""
    rows = [{"reference": text, "prediction": text} for text in ("tort", "civil wrong", "a b c d e")]
    found = find_metric("bleu").compute(rows, Setting())["items"]
    assert found == pytest.approx([100, 100, 100])
    assert found == [sacrebleu.sentence_bleu(r["prediction"], [r["reference"]]).score for r in rows]


def test_items_of_chrf_are_sacrebleus_sentences(several):
    found = find_metric("chrf").compute(several, Setting())["items"]
    assert found == [sacrebleu.sentence_chrf(row["prediction"], references(row)).score for row in several]


def test_further_references_never_lower_the_matches(rows, several):
    one, more = (find_metric("bleu").compute(given, Setting())["counts"] for given in (rows, several))
    for before, after in zip(one, more, strict=True):
        assert all(a <= b for a, b in zip(before["correct"], after["correct"], strict=True))
        assert before["total"] == after["total"]
    assert BLEU().tokenizer.__class__.__name__ == "Tokenizer13a"
