import json
from dataclasses import replace
from pathlib import Path

import pytest

from grads.config.arms import Arm
from grads.data.passes import NO_PASSES, Lengths
from grads.graph import resources
from grads.graph.known import feature_width, load_of, size_of
from grads.graph.resources import Resources, check_fits, micro_batch, planned_device
from grads.graph.work import training_work
from grads.models.hardware import CPU, SOME_GPU, find_device
from grads.models.size import size_of_config
from grads.runtime.errors import GradsError
from grads.study.grid import Cell, cells
from grads.study.paths import Paths, warm_cell
from grads.study.reading import read_study

ROOT = Path(__file__).parents[2]
SMOLLM = {
    "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "torch_dtype": "float32",
}  # fmt: skip
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
H100 = find_device("h100-80gb")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without results, in which the studies of this repository are read."""
    monkeypatch.chdir(tmp_path)


def prepared(study, model, config):
    """Put the config of a model where it is prepared."""
    folder = Paths(study.study).model(model)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def demo():
    study = read_study(ROOT / "config" / "demo-large.yaml")
    prepared(study, "smollm2", SMOLLM)
    return study


@pytest.fixture
def paper():
    study = read_study(ROOT / "config" / "paper_grads.yaml")
    for model in study.models:
        prepared(study, model, QWEN_7B)
    return study


def counted(study, model, domain, records, tokens, longest):
    """Count the tokens of a domain's records as its job would: one is the longest, the others are equal."""
    path = Paths(study.study).store(model, domain, "tokens") / "meta.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    each = (tokens - longest) // (records - 1)
    examples = Lengths.of([longest, *[each] * (records - 1)]).as_json()
    halves = Lengths.of([longest // 2, *[each // 2] * (records - 1)]).as_json()
    parts = {"prompts": halves, "responses": halves, "examples": examples}
    counts = dict.fromkeys(("train", "validation", "test"), parts)
    path.write_text(json.dumps({"max_length": study.training.max_length, "token_counts": counts}))


def run_of(study, arm, ratio=None):
    return next(cell for cell in cells(study) if cell.arm == arm and ratio in (None, cell.ratio))


def test_what_was_measured_is_asked_for_and_not_twice_as_much(demo):
    """Peaks of SmolLM2-135M in float32 on a processor: 3.77 GB in training 8 records of 128 tokens, 4.15 GB in a probe
    with gradients in batches of 2,048 tokens.
    """
    counted(demo, "smollm2", "medicine", 300, 300 * 60, 128)
    cell = run_of(demo, "grads", "0.5")
    assert 3770 < resources.train(demo, cell).memory_mb < 2 * 3770
    assert 4150 < resources.probe(demo, "smollm2", "medicine", "warm").memory_mb < 2 * 4150


def test_teaching_asks_for_all_weights_with_gradients_and_adam():
    study = read_study(ROOT / "config" / "demo.yaml")
    prepared(study, "smollm2", SMOLLM)
    weights = 134_515_008
    # Float32: weights, gradients, two moments.
    assert 16 * weights < resources.teach_model(study, "smollm2").memory_mb * 10**6 < 9e9


def test_the_demonstration_asks_for_no_more_than_a_usual_machine_has(demo):
    cell = run_of(demo, "full")
    asked = [resources.train(demo, cell), resources.evaluate_cell(demo, cell), resources.select(demo, cell)]
    asked += [resources.evaluate_untuned(demo, "smollm2"), resources.prepare_model(demo, "smollm2")]
    asked += [resources.prepare_data(demo), resources.metrics(demo), resources.report(demo)]
    asked += [resources.probe(demo, "smollm2", "law", store) for store in ("base", "warm")]
    asked += [resources.probe_tokens(demo, "smollm2", "law"), resources.train(demo, warm_cell("smollm2", "law", 0))]
    assert all(500 <= one.memory_mb <= 9000 and one.gpus == one.gpu_memory_mb == 0 for one in asked)
    assert all(0 < one.minutes <= 480 and one.threads == 1 for one in asked)


def test_a_tiny_model_asks_for_a_process():
    smoke = read_study(ROOT / "config" / "smoke.yaml")
    assert size_of(smoke, "tiny").layers == 2
    assert resources.train(smoke, run_of(smoke, "full")).memory_mb <= 1500


def test_a_7b_adapter_asks_for_what_it_needs(paper):
    asked = resources.train(paper, run_of(paper, "full"), 1, H100)
    # Its weights as they are read, and a process with a GPU.
    assert 19_000 <= asked.memory_mb <= 25_000
    assert asked.gpus == 1
    assert 15_000 + 30_000 <= asked.gpu_memory_mb <= 75_200
    assert micro_batch(paper, run_of(paper, "full"), 1, H100) == 4
    assert micro_batch(paper, run_of(paper, "full"), 1, SOME_GPU) == 8
    check_fits(paper, H100)


def test_full_training_of_7b_is_refused_before_any_work(paper):
    full = paper.model_copy(update={"training": paper.training.model_copy(update={"weights": "full"})})
    with pytest.raises(GradsError, match=r"'llama2-7b' takes .* GB, one record .* h100-80gb has .*weights to lora"):
        check_fits(full, H100)
    with pytest.raises(GradsError, match="one record"):
        micro_batch(full, run_of(full, "full"), 1, H100)
    with pytest.raises(GradsError, match="one record"):
        resources.train(full, run_of(full, "full"), 1, H100)


def with_strategies(study, weights, **strategies):
    """Return a study whose arms train on all records, each by a strategy; `half` scales the run of `full`."""
    arms = {"full": Arm(method="full"), "half": Arm(method="full", strategy="wise_ft")}
    arms |= {name: Arm(method="full", strategy=name, strategy_parameters=given) for name, given in strategies.items()}
    training = study.training.model_copy(update={"weights": weights})
    return study.model_copy(update={"arms": arms, "training": training})


@pytest.mark.parametrize(("arm", "weights"), [("l2_sp", 2), ("ewc", 3)])
def test_an_arm_that_is_held_near_to_the_base_model_asks_for_what_it_holds_of_it(arm, weights, demo):
    """A copy of the base model and the changes of all weights, 4 bytes a weight each; Fisher information as much."""
    study = with_strategies(demo, "full", **{arm: {}})
    plain, held = (resources.train(study, run_of(study, one), 1, H100) for one in ("full", arm))
    assert held.gpu_memory_mb - plain.gpu_memory_mb == pytest.approx(weights * 4 * 134.5, abs=100)
    plain, held = (resources.train(study, run_of(study, one)) for one in ("full", arm))
    assert held.memory_mb - plain.memory_mb == pytest.approx(1.1 * weights * 4 * 134.5, abs=100)


def test_the_base_models_logits_take_memory_and_a_forward_pass(demo):
    study = with_strategies(demo, "full", kl={})
    plain, held = (run_of(study, arm) for arm in ("full", "kl"))
    asked = [resources.train(study, cell, 1, H100).gpu_memory_mb for cell in (plain, held)]
    tokens = 8 * demo.training.max_length
    # 8 x 576 hidden and 4 x 1536 inner in bf16 a token, 12 bytes a logit, and the copy.
    more = tokens * 2 * (8 * 576 + 4 * 1536) + tokens * 49152 * 12 + 4 * 134.5e6
    assert asked[1] - asked[0] == pytest.approx(more / 1e6, abs=101)
    works = [training_work(study, cell, 8) for cell in (plain, held)]
    assert works[0].training == works[1].training == works[1].reading
    assert works[0].reading == NO_PASSES
    # Half of each record is its response.
    assert works[1].predictions == pytest.approx(works[1].training.tokens / 2, rel=0.01)
    assert works[1].loads == works[0].loads + 1


def test_an_arm_that_scales_a_run_asks_for_no_training(demo, paper):
    full, lora = (with_strategies(demo, weights) for weights in ("full", "lora"))
    cell = run_of(full, "half")
    # Two models of 134.5 million weights in float32, on the host once more as they are written.
    found = resources.train(full, cell, 1, H100)
    assert found == Resources(memory_mb=5000, gpu_memory_mb=1100, minutes=20, gpus=1)
    assert resources.train(full, cell) == Resources(memory_mb=2800, minutes=20)
    # An adapter of 4.9 million.
    for device in (CPU, H100):
        found = resources.train(lora, cell, 1, device)
        assert found == Resources(memory_mb=1100, minutes=20)
        assert found.memory_mb < resources.train(lora, run_of(lora, "full"), 1, device).memory_mb
    assert training_work(full, cell, 8).training == NO_PASSES
    large = with_strategies(paper, "full")
    assert micro_batch(large, run_of(large, "half"), 1, H100) == 8


def test_an_arm_that_does_not_fit_is_refused_by_its_name(paper):
    device = find_device("mi300x-192gb")
    check_fits(with_strategies(paper, "full"), device)
    with pytest.raises(GradsError, match=r"'qwen2-5-7b' in arm 'kl' takes .* copy of the base model 30.5 "):
        check_fits(with_strategies(paper, "full", kl={}), device)
    check_fits(with_strategies(paper, "lora", kl={}), device)


@pytest.mark.parametrize("config", ["paper_grads", "paper_less"])
def test_answers_are_written_in_what_memory_the_weights_leave(config):
    paper = read_study(ROOT / "config" / f"{config}.yaml")
    for model in paper.models:
        cell = next(one for one in cells(paper) if one.model == model and one.trained)
        needed = resources.evaluate_cell(paper, cell, 1, H100)
        assert size_of(paper, model).parameters * 2 < needed.gpu_memory_mb * 10**6 <= H100.usable


def test_an_evaluation_that_does_not_fit_is_refused_before_any_work(paper):
    # The weights of 7.6 billion parameters in bf16 fit, and nothing else does.
    short = replace(H100, name="short", memory=int(15.3e9 / 0.94))
    with pytest.raises(GradsError) as refused:
        check_fits(paper, short)
    assert "training an adapter of 'qwen2-5-7b'" in str(refused.value)
    assert "evaluating 'qwen2-5-7b'" in str(refused.value)


def test_a_model_that_is_not_fetched_has_its_published_size():
    paper = read_study(ROOT / "config" / "paper_grads.yaml")
    assert size_of(paper, "qwen2-5-7b").parameters == pytest.approx(7.62e9, rel=1e-3)
    assert resources.train(paper, run_of(paper, "full"), 1, H100).memory_mb > 15_000


def test_a_model_of_which_nothing_is_known_is_given_the_usual():
    paper = read_study(ROOT / "config" / "paper_grads.yaml")
    source = {"kind": "hub", "id": "some/model", "revision": "main"}
    models = {"qwen2-5-7b": paper.models["qwen2-5-7b"].model_validate({"title": "Some", "source": source})}
    paper = paper.model_copy(update={"models": models})
    assert size_of(paper, "qwen2-5-7b") is None
    cell = run_of(paper, "full")
    for job in (resources.train, resources.evaluate_cell):
        first, second = (job(paper, cell, attempt, H100) for attempt in (1, 2))
        assert first.memory_mb == 8000
        assert second.memory_mb == 12_000
        assert first.gpus == 1
    assert resources.prepare_model(paper, "qwen2-5-7b").memory_mb == 8000
    check_fits(paper, H100)


@pytest.mark.parametrize("device", [CPU, H100], ids=["cpu", "h100"])
def test_each_try_asks_for_more(device, paper):
    cell, model, domain = run_of(paper, "grads", "0.5"), "qwen2-5-7b", "law"
    jobs = [
        lambda attempt: resources.train(paper, cell, attempt, device),
        lambda attempt: resources.evaluate_cell(paper, cell, attempt, device),
        lambda attempt: resources.probe(paper, model, domain, "warm", attempt, device),
        lambda attempt: resources.select(paper, cell, attempt),
        lambda attempt: resources.prepare_model(paper, model, attempt),
        lambda attempt: resources.probe_tokens(paper, model, domain, attempt),
        lambda attempt: resources.report(paper, attempt),
    ]
    for job in jobs:
        tries = [job(attempt) for attempt in (1, 2, 3)]
        assert tries[0].memory_mb < tries[1].memory_mb < tries[2].memory_mb
        assert tries[0].minutes < tries[1].minutes < tries[2].minutes
    sizes = [micro_batch(paper, cell, attempt, device) for attempt in (1, 2, 3, 4, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


def test_more_data_takes_more(demo):
    cell, domain = run_of(demo, "full"), "medicine"
    counted(demo, "smollm2", domain, 1000, 50_000, 100)
    small = [resources.train(demo, replace(cell, domain=domain)), resources.probe(demo, "smollm2", domain, "warm")]
    counted(demo, "smollm2", domain, 1000, 450_000, 500)
    large = [resources.train(demo, replace(cell, domain=domain)), resources.probe(demo, "smollm2", domain, "warm")]
    assert large[0].memory_mb > small[0].memory_mb
    assert all(after.minutes > before.minutes for before, after in zip(small, large, strict=True))


def test_a_share_of_the_data_takes_a_share_of_the_time(paper):
    minutes = [resources.train(paper, run_of(paper, "grads", ratio), 1, H100).minutes for ratio in ("0.05", "0.5")]
    assert minutes[0] < minutes[1] < resources.train(paper, run_of(paper, "full"), 1, H100).minutes
    assert visits(paper, run_of(paper, "full")) == 3 * 7500
    assert visits(paper, run_of(paper, "random", "0.05")) == 3 * 375
    assert visits(paper, warm_cell("qwen2-5-7b", "law", 0)) == 7500
    # As many steps of 32 records as 375 records three times take.
    assert visits(paper, run_of(paper, "full_steps", "0.05")) == 36 * 32


def visits(study, cell):
    return training_work(study, cell, 8).training.sequences


def test_data_is_counted_once_it_is_prepared(demo):
    limited = load_of(demo, "smollm2", "law")
    assert (limited.records, limited.longest, limited.counted) == (300, 512, False)
    assert limited.examples.mean == pytest.approx(256, rel=0.01)
    counted(demo, "smollm2", "law", 290, 14_500, 97)
    found = load_of(demo, "smollm2", "law")
    assert (found.records, found.longest, found.counted) == (290, 97, True)
    assert found.tokens == pytest.approx(14_500, rel=0.02)
    longer = demo.model_copy(update={"training": demo.training.model_copy(update={"max_length": 1024})})
    assert load_of(longer, "smollm2", "law").longest == 1024


def test_vectors_of_an_adapter_are_as_long_as_its_projection_makes_them(paper):
    size = size_of_config(QWEN_7B)
    # Seven layers with an adapter in each of 28, of A and of B 16 x 16 each.
    assert feature_width(paper, size) == 7 * 28 * 2 * 256
    features = paper.probe.features.model_copy(update={"modules": ["*.q_proj"], "size": 8})
    chosen = paper.model_copy(update={"probe": paper.probe.model_copy(update={"features": features})})
    assert feature_width(chosen, size) == 28 * 2 * 64


def test_a_method_that_reads_part_by_part_asks_for_less():
    study = read_study(ROOT / "config" / "methods.yaml")
    for model in study.every_model:
        prepared(study, model, QWEN_7B)
    splits = study.splits.model_copy(update={"train": 100_000})
    study = study.model_copy(update={"splits": splits})
    asked = {study.arms[cell.arm].method: resources.select(study, cell).memory_mb for cell in cells(study)}
    less, g2is = asked["less"], asked["g2is"]
    # 100,000 x 100,352 numbers in float32 are 40 GB.
    assert g2is > 40_000
    assert less < 12_000
    assert asked["random"] < less


def test_the_device_is_what_is_named_or_what_is_here(monkeypatch):
    monkeypatch.setattr(resources, "local_devices", lambda: 0)
    assert planned_device() == CPU
    monkeypatch.setattr(resources, "local_devices", lambda: 2)
    assert planned_device() == SOME_GPU
    monkeypatch.setenv("GRADS_DEVICE", "h100-80gb")
    assert planned_device() == H100
    monkeypatch.setenv("GRADS_DEVICE", "h100")
    with pytest.raises(GradsError, match=r"GRADS_DEVICE: .*'h100'"):
        planned_device()


def test_a_cell_of_no_arm_is_known(demo):
    cell = Cell("smollm2", "law", "trajectory", "1", 0)
    assert visits(demo, cell) == demo.probe.trajectory.epochs * 300
    assert resources.train(demo, cell).minutes >= resources.train(demo, replace(cell, arm="warm")).minutes
