from pathlib import Path

import pytest
import yaml

from grads.cli import plan
from grads.cli.plan import Work, evaluation_work, selection_work, training_work
from grads.graph.study import StudyGraph
from grads.models.hardware import find_device
from grads.study.load import parse_study, read_study

SMOKE = read_study("config/smoke.yaml")
RULES = {rule for rule, _wildcards in StudyGraph(SMOKE, reading=False).calls()}


def test_work_adds_up():
    speed = type("Speed", (), {"forward": 0.5, "probe": 1.0, "train": 2.0, "answer": 10.0, "start": 100.0})
    work = Work(forward=2) + Work(probe=3, train=4) + Work(answers=5, jobs=6)
    assert work == Work(2, 3, 4, 5, 6)
    assert work.seconds(speed) == 1 + 3 + 8 + 50 + 600


def test_one_pass_serves_all_arms():
    # One base pass; for each seed the preliminary epoch and one probe, whatever the number of arms that need them.
    assert selection_work(SMOKE, "tiny", 1000) == Work(forward=1000, probe=1000, train=1000, jobs=3)
    content = yaml.safe_load(Path("config/smoke.yaml").read_text()) | {"seeds": [0, 1, 2]}
    assert selection_work(parse_study(content), "tiny", 1000) == Work(forward=1000, probe=3000, train=3000, jobs=7)
    content["arms"] = {name: content["arms"][name] for name in ("untuned", "full", "random")}
    assert selection_work(parse_study(content), "tiny", 1000) == Work()


def with_arms(**arms):
    content = yaml.safe_load(Path("config/smoke.yaml").read_text())
    arms = {name: {"ratios": ["0.5"]} | arm for name, arm in arms.items()}
    return parse_study(content | {"arms": {"untuned": {"method": "untuned"}} | arms})


GRADS = {"method": "grads"}
DENSITY = {"method": "grads_density"}


def test_more_methods_of_the_same_signals_take_no_more_passes():
    one = selection_work(with_arms(grads=GRADS), "tiny", 1000)
    assert one == Work(forward=1000, probe=1000, train=1000, jobs=3)
    central = DENSITY | {"parameters": {"rule": "central"}}
    assert selection_work(with_arms(grads=GRADS, density=DENSITY, central=central), "tiny", 1000) == one
    assert selection_work(with_arms(density=DENSITY, central=central), "tiny", 1000) == Work(
        probe=1000, train=1000, jobs=2
    )


def test_what_needs_a_backward_pass_is_a_probe(monkeypatch):
    base = {"method": "grads_density", "parameters": {"point": "base"}}
    assert selection_work(with_arms(density=base), "tiny", 1000) == Work(probe=1000, jobs=1)
    for held, work in (
        (["hidden", "losses"], Work(forward=1000, jobs=1)),
        (["unconditional"], Work(forward=2000, jobs=1)),
        (["sgd_features"], Work(probe=1000, jobs=1)),
        (["adapter", "unconditional"], Work(forward=1000, probe=1000, jobs=1)),
    ):
        monkeypatch.setattr("grads.selection.needs.measures", lambda *_, held=held: held)
        assert selection_work(with_arms(density=base), "tiny", 1000) == work


def test_passes_over_validation_records_and_during_the_epoch(monkeypatch):
    study = with_arms(density=DENSITY)
    monkeypatch.setattr("grads.graph.needs.model_stores", lambda *_: ["tokens", "warm", "warm-validation"])
    monkeypatch.setattr("grads.selection.needs.measures", lambda *_: ["sgd_features"])
    assert selection_work(study, "tiny", 1000, 100) == Work(probe=1100, train=1000, jobs=3)
    monkeypatch.setattr("grads.graph.needs.model_stores", lambda *_: ["during", "encoder-x"])
    assert selection_work(study, "tiny", 1000) == Work(forward=1000, probe=1000, train=1000, jobs=2)


def test_a_trajectory_is_a_run_of_its_own_with_forward_passes(monkeypatch):
    monkeypatch.setattr("grads.selection.needs.model_stores", lambda *_: ["trajectory"])
    assert selection_work(SMOKE, "tiny", 1000) == Work(forward=8000, train=3000, jobs=1)


def test_a_scorer_is_probed_and_trains_and_answers_nothing(monkeypatch):
    monkeypatch.setattr(plan, "_rows", lambda _path: 10)
    monkeypatch.setattr(plan, "_tokens", lambda *_: 1000)
    content = yaml.safe_load(Path("config/smoke.yaml").read_text())
    navigator = {"title": "Navigator", "source": {"kind": "tiny", "seed": 1}}
    arms = {"untuned": {"method": "untuned"}, "near": DENSITY | {"ratios": ["0.5"], "scorer": "navigator"}}
    study = parse_study(content | {"scorers": {"navigator": navigator}, "arms": arms})
    works = {model: plan._works(study, model, 100) for model in study.every_model}
    # Two domains: a preliminary epoch and a probe each, all of the scorer.
    assert works["navigator"] == {
        "selection": Work(probe=2000, train=2000, jobs=4),
        "training": Work(),
        "evaluation": Work(),
    }
    assert works["tiny"]["selection"] == Work()
    assert works["tiny"]["training"] == Work(train=2000, jobs=2)
    assert works["tiny"]["evaluation"] == Work(forward=300, answers=40, jobs=3)


def test_training_takes_each_arms_share():
    # full: 2 epochs of 1000 tokens; five arms at 0.5.
    assert training_work(SMOKE, 1000) == Work(train=2000 + 5 * 1000, jobs=6)


def test_every_trained_cell_is_evaluated():
    assert evaluation_work(SMOKE, tests=8, general_tokens=100) == Work(forward=600, answers=48, jobs=6)


def test_a_device_is_measured_once_for_each_setting(tmp_path, monkeypatch, tiny_model_folder):
    from grads.cli import calibration
    from grads.data.records.record import make_record, write_records
    from grads.study.paths import Paths

    monkeypatch.chdir(tmp_path)
    paths = Paths("smoke")
    paths.model("tiny").parent.mkdir(parents=True)
    paths.model("tiny").symlink_to(tiny_model_folder)
    records = [make_record(f"What is {n}?", "", f"It is {n}.") for n in range(20)]
    write_records(paths.records("sums", "train"), records)
    first = calibration.calibrate(SMOKE, "tiny", "sums")
    assert min(first.forward, first.probe, first.train, first.answer, first.start) > 0
    assert first.adapter_bytes > 10_000
    monkeypatch.setattr(calibration, "_measure", lambda *_: pytest.fail("measured twice"))
    assert calibration.calibrate(SMOKE, "tiny", "sums") == first
    other = SMOKE.model_copy(update={"training": SMOKE.training.model_copy(update={"max_length": 128})})
    with pytest.raises(pytest.fail.Exception):
        calibration.calibrate(other, "tiny", "sums")


def test_plan_needs_the_folder_of_the_workflow(grads, tmp_path, monkeypatch):
    monkeypatch.setattr("grads.cli.plan.checked_study", lambda _: SMOKE)
    monkeypatch.chdir(tmp_path)
    assert "there is no Snakefile" in grads("plan", "mine.yaml", status=2).stderr


def test_what_is_there_is_not_taken_for_this_configs(tmp_path, monkeypatch):
    from grads.study.paths import Paths

    monkeypatch.chdir(tmp_path)
    paths, asked = Paths("smoke"), []
    for domain in SMOKE.domains:
        paths.store("tiny", domain, "tokens").mkdir(parents=True)
    monkeypatch.setattr(plan, "_snakemake", lambda config, *targets: asked.append((config, set(targets))))
    plan._prepare(SMOKE, Path("mine.yaml"))
    stores = {str(paths.store("tiny", domain, "tokens")) for domain in SMOKE.domains}
    assert asked == [(Path("mine.yaml"), stores | {str(paths.general("text.jsonl"))})]


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        (
            "output: x\n| log\n====\nerror: model a/b is not there: mend it\nExiting because\n",
            "model a/b is not there: mend it",
        ),
        (
            'Using profile\nWorkflowError in file "rules/common.smk", line 5:\n\'arms.x\': no method\n  File "x"\n',
            "'arms.x': no method",
        ),
        ("killed\n", "snakemake failed, saying: killed"),
    ],
)
def test_of_a_failed_preparation_the_one_sentence_is_said(printed, sentence):
    assert plan._said(printed) == sentence


def test_a_named_device_is_planned_for_without_any_work(grads, tmp_path):
    printed = grads("plan", "config/smoke.yaml", "--device", "h100-80gb").stdout
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    assert int(rows["train"][1]) == 12
    assert rows["select"][2] == "-"
    # 12 runs of a tiny model cost a GPU little but their start.
    assert "h100-80gb" in printed
    assert float(rows["train"][-2]) > 0
    assert rows["total"][1] == str(sum(int(row[1]) for rule, row in rows.items() if rule in RULES))
    assert "Not counted" not in printed
    said = grads("plan", "config/smoke.yaml", "--device", "h100", status=2).output
    assert "there is no device 'h100'" in said


def test_models_that_are_not_there_are_named(grads):
    printed = " ".join(grads("plan", "config/paper_grads.yaml", "--device", "h100-80gb").stdout.split())
    assert "Not counted: " in printed


def test_longer_records_and_more_cells_take_longer():
    def seconds(study):
        return sum(row.seconds for row in plan.device_rows(study, find_device("h100-80gb")) if row.rule == "train")

    content = yaml.safe_load(Path("config/smoke.yaml").read_text())
    once = seconds(parse_study(content))
    assert seconds(parse_study(content | {"seeds": [0, 1, 2]})) == pytest.approx(3 * once)
    assert once > 0
