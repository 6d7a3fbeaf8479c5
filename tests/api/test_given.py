import pandas as pd
import pytest

from grads.api.given import model_path, records_path
from grads.data.records.rows import read_rows
from grads.runtime.errors import GradsError

ROWS = [{"instruction": f"Q{n}", "output": f"A{n}"} for n in range(3)]


def test_records_in_memory_are_one_file_whatever_they_are_held_in(tmp_path):
    from datasets import Dataset

    paths = {records_path(held, tmp_path) for held in (ROWS, Dataset.from_list(ROWS), pd.DataFrame(ROWS), iter(ROWS))}
    (path,) = paths
    assert [row for _place, row in read_rows(path)] == ROWS
    assert records_path(path, tmp_path) == path
    assert records_path(ROWS[:2], tmp_path) != path


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"train": ROWS, "test": ROWS}, r"records: it is a dict \(train, test\): give one split"),
        ([], "records: there are none"),
        (3, "records: it is a int"),
        (["text"], r"records\[0\]: it is a str"),
        ([*ROWS, {"instruction": b"Q"}], r"records\[3\]: this row cannot be written as JSON"),
    ],
)
def test_what_holds_no_records_is_one_sentence(tmp_path, records, words):
    with pytest.raises(GradsError, match=words):
        records_path(records, tmp_path)


def test_a_model_in_memory_is_known_by_its_content(tiny_model_folder, tmp_path):
    from transformers import AutoModelForCausalLM

    from grads.models.load import load_tokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    path = model_path(model, None, tmp_path)
    assert path == model_path(model, load_tokenizer(tiny_model_folder), tmp_path)
    model.lm_head.weight.data[0, 0] += 1
    assert path != model_path(model, tiny_model_folder, tmp_path)
    model.config._name_or_path = ""
    with pytest.raises(GradsError, match="holds no tokenizer for the model in memory: give tokenizer="):
        model_path(model, None, tmp_path)
    with pytest.raises(GradsError, match="model: it is a list"):
        model_path([], None, tmp_path)
