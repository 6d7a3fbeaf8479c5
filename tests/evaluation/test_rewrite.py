"""Training records answered in the model's own words: what is asked, what is written, what is left out."""

import torch

from grads.config.evaluation import Evaluation
from grads.config.models import Format
from grads.config.training import Training
from grads.data.own_answers import read_own_answers
from grads.data.records.formatting import Formatter
from grads.data.records.record import Turn, make_record, write_records
from grads.evaluation.rewrite import guided, rewrite
from grads.models.load import load_model, load_tokenizer
from grads.runtime.files import read_json

RECORDS = [make_record(f"What is {i}?", "", f"the number {i}") for i in range(5)]


def test_the_question_shows_the_answer_and_asks_for_other_words():
    turns = [Turn("user", "Hello"), Turn("assistant", "Hi", loss=True)]
    record = make_record("Add {them}.", "1 and 2", "It is {3}.", turns=turns)
    found = guided(record)
    assert found.id == record.id
    assert found.turns == record.turns
    assert found.question == (
        "Below are an instruction that describes a task along with a reference answer. Using the reference answer as "
        "a guide, write your own response.\n\n### Instruction:\nAdd {them}.\n\n1 and 2\n\n### Reference Answer:\n"
        "It is {3}.\n\n### Response:\n"
    )


def test_each_answer_is_the_greedy_one_to_the_guided_prompt(tmp_path, tiny_model_folder):
    write_records(tmp_path / "records.parquet", RECORDS)
    limits = Training(max_length=256)
    evaluation = Evaluation(precision="float32")
    rewrite(tiny_model_folder, tmp_path / "records.parquet", Format(), limits, 4, evaluation, tmp_path / "own", "own")
    found = read_own_answers(tmp_path / "own")
    assert list(found) == [record.id for record in RECORDS]

    tokenizer = load_tokenizer(tiny_model_folder)
    model = load_model(tiny_model_folder, "float32")
    prompt = Formatter(tokenizer, Format()).prompt_ids(guided(RECORDS[2]))
    with torch.no_grad():
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False)[0, len(prompt) :]
    assert found[RECORDS[2].id].answer == tokenizer.decode(ids, skip_special_tokens=True).strip()
    meta = read_json(tmp_path / "own/meta.json")
    assert (meta["records"], meta["answers"], meta["gradient_passes"]) == (5, 5, 0)
    parameters = sum(weight.numel() for weight in model.parameters())
    tokens = meta["flops"] / (2 * parameters)
    assert 5 * len(prompt) <= tokens <= 5 * (len(prompt) + 4)


def test_a_record_that_training_leaves_out_is_not_answered(tmp_path, tiny_model_folder):
    """So is one whose guided prompt is longer than the model has positions; of those the number is known."""
    long = make_record("Say " + "a very long thing " * 20, "", "no")
    wide = make_record("Say", "", "word " * 90)
    write_records(tmp_path / "records.parquet", [*RECORDS, long, wide])
    limits = Training(max_length=500)
    rewrite(
        tiny_model_folder, tmp_path / "records.parquet", Format(), limits, 4, Evaluation(precision="float32"),
        tmp_path / "own", "own",
    )  # fmt: skip
    meta = read_json(tmp_path / "own/meta.json")
    room = load_model(tiny_model_folder, "float32").config.max_position_embeddings
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    fitting = [
        one
        for one in [*RECORDS, long, wide]
        if len(formatter.example(one).input_ids) <= 500 and len(formatter.prompt_ids(guided(one))) + 4 <= room
    ]
    assert list(read_own_answers(tmp_path / "own")) == [one.id for one in fitting]
    assert meta["answers"] == len(fitting)
    assert meta["records"] == sum(len(formatter.example(one).input_ids) <= 500 for one in [*RECORDS, long, wide])
