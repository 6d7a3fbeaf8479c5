"""What is counted of jobs before they run is what they do: a study of every kind of job is run, its model watched."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from transformers.models.llama.modeling_llama import LlamaModel

from grads.cli.calibration import count_requests
from grads.data.passes import Passes
from grads.graph.known import general_of, load_of
from grads.graph.study import StudyGraph
from grads.graph.work import work_of
from grads.runtime.files import read_jsonl, read_object
from grads.runtime.runner import Machine, perform
from grads.study.reading import parse_study

ROOT = Path(__file__).parents[2]
MICRO_BATCH = 4
LOOK = (1, 8)
FREE = """
task: free
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
fewshot_split: test
num_fewshot: 2
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["%%%"], max_gen_toks: 5}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
ARMS = {
    "untuned": {"method": "untuned"},
    "full": {"method": "full"},
    "steps": {"method": "random", "ratios": ["0.3"], "match": "steps"},
    "full_steps": {"method": "full_steps", "ratios": ["0.5"]},
    "dense": {"method": "grads_density", "ratios": ["0.5"]},
    "central": {"method": "grads_density", "ratios": ["0.3"], "parameters": {"point": "base"}},
    "s2l": {"method": "s2l", "ratios": ["0.5"]},
}
DOMAINS = ("sums", "plurals")
RUN = ("prepare_", "probe_", "select", "train", "evaluate")


@dataclass
class Seen:
    """What a model was given in a job: rows and columns of each call, with whether gradients were taken.

    Left out is LOOK, by which it is found out how a model makes its logits.
    """

    calls: list[tuple[int, int, bool]] = field(default_factory=list)

    def passes(self, wanted):
        """Return calls that fit, as how many and how large."""
        chosen = [one[:2] for one in self.calls if one[:2] != LOOK and wanted(*one[1:])]
        return len(chosen), sum(rows * columns for rows, columns in chosen)


@dataclass
class Ran:
    """A study that was run: what was counted of each job when all before it was done, and what its model saw."""

    study: object
    graph: StudyGraph
    before: dict
    after: dict
    seen: dict

    def of_rule(self, rule):
        """Return the wildcards of a rule's jobs."""
        return [dict(wildcards) for name, wildcards in self.before if name == rule]


def key(rule, wildcards):
    return rule, tuple(sorted(wildcards.items()))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    config = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text("utf-8"))
    (folder / "config").symlink_to(ROOT / "config")
    (folder / "free.yaml").write_text(FREE, encoding="utf-8")
    items = [f'{{"question": "What follows {n}?", "answer": "{n + 1}"}}' for n in range(9)]
    (folder / "free.jsonl").write_text("\n".join(items), encoding="utf-8")
    free = {"title": "Free", "yaml": "free.yaml", "data": {"kind": "file", "path": "free.jsonl"}, "sample": 5}
    config["general"]["tasks"]["free"] = free | {"metric": "exact_match", "chance": 0.0}
    config["evaluation"] = {"precision": "float32", "metrics": ["chrf"], "cross_domain": True, "token_budget": 500}
    config["evaluation"]["task_batch"] = 3
    config |= {"arms": ARMS, "archives": {}, "probe": config["probe"] | {"token_budget": 400}}
    config["training"] |= {"weights": "lora", "global_batch": 8}
    del config["claims"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run(parse_study(config), patch)


def run(study, patch):
    graph = StudyGraph(study)
    calls = {id(graph.job(rule, wildcards)): (rule, wildcards) for rule, wildcards in graph.calls()}
    found = Ran(study, graph, {}, {}, defaultdict(Seen))
    now = Seen()
    original = LlamaModel.forward

    def watched(self, input_ids=None, **keywords):
        now.calls.append((*input_ids.shape, torch.is_grad_enabled()))
        return original(self, input_ids, **keywords)

    patch.setattr(LlamaModel, "forward", watched)
    for job in graph.in_order():
        rule, wildcards = calls[id(job)]
        if not rule.startswith(RUN) or is_left_out(rule, wildcards):
            continue
        if rule == "evaluate_untuned":
            count_requests(study, "tiny")
        found.before[key(rule, wildcards)] = counted(study, rule, wildcards)
        now.calls = []
        perform(job, Machine(micro_batch=MICRO_BATCH, token_budget=study.probe.token_budget))
        found.seen[key(rule, wildcards)] = Seen(now.calls)
    found.after = {name: counted(study, name[0], dict(name[1])) for name in found.before}
    return found


def is_left_out(rule, wildcards):
    """Return whether a job is like another one: one domain's do, and one arm's answers to the other domain."""
    if rule == "evaluate_cross" and wildcards["arm"] != "full":
        return True
    return rule == "selection_tables" or (wildcards.get("domain") == "plurals" and rule != "probe_tokens")


def counted(study, rule, wildcards):
    return work_of(study, rule, wildcards, lambda _cell: MICRO_BATCH)


def training_of(ran, rule, wildcards):
    job = ran.graph.job(rule, wildcards)
    return read_object(job.summary)


def test_training_visits_and_tokens_are_those_recorded(ran):
    runs = [(rule, one) for rule in ("train", "train_warm", "train_trajectory") for one in ran.of_rule(rule)]
    assert len(runs) == 6 + 2
    for rule, wildcards in runs:
        recorded = training_of(ran, rule, wildcards)
        work = ran.before[key(rule, wildcards)].training
        # A micro-batch has room for a global batch of these short records.
        assert (work.sequences, work.batches) == (recorded["visits"], recorded["steps"]), wildcards
        # What is visited whole is known to the token; of all records in a part of a round, their mean is.
        whole = recorded["visits"] % recorded["records"] == 0
        assert work.tokens == pytest.approx(recorded["tokens"], abs=0 if whole else 0.1 * recorded["tokens"]), wildcards


def test_micro_batches_are_those_that_the_model_saw(ran):
    for rule in ("train", "train_warm", "train_trajectory"):
        for wildcards in ran.of_rule(rule):
            calls, padded = ran.seen[key(rule, wildcards)].passes(lambda _columns, graded: graded)
            work = ran.before[key(rule, wildcards)].training
            if rule == "train_warm":
                # The probe that will follow is tried before, with gradients.
                continue
            assert work.batches == calls
            # Without padding, and without each record's last token; what records begin with is read once a step.
            assert work.padded == work.tokens
            assert 0.5 * work.tokens < padded <= 1.1 * work.tokens - work.sequences


def test_probes_read_the_records_and_batches_that_are_counted(ran):
    for rule in ("probe_base", "probe_warm"):
        for wildcards in ran.of_rule(rule):
            work = ran.before[key(rule, wildcards)].measuring
            meta = read_object(ran.graph.job(rule, wildcards).store / "meta.json")
            assert (work.sequences, work.tokens) == (meta["records"], meta["tokens"])
            # What comes first looks at how much memory a token takes.
            last = ran.seen[key(rule, wildcards)].calls[-work.batches :]
            assert sum(rows for rows, _, _ in last) == work.sequences
            # Of a batch whose gradients are taken, the last token, which predicts nothing, is left out.
            assert sum(rows * columns for rows, columns, _ in last) == work.padded - work.sequences


def test_losses_along_a_trajectory_are_counted(ran):
    for wildcards in ran.of_rule("train_trajectory"):
        job = ran.graph.job("train_trajectory", wildcards)
        meta = read_object(job.store / "meta.json")
        work = ran.before[key("train_trajectory", wildcards)].measuring
        assert work.sequences == len(meta["steps"]) * meta["records"]


def test_answers_and_items_are_those_recorded(ran):
    for rule in ("evaluate", "evaluate_untuned", "evaluate_cross"):
        for wildcards in ran.of_rule(rule):
            job = ran.graph.job(rule, wildcards)
            work = ran.before[key(rule, wildcards)]
            files = job.predictions or sorted(job.cross.glob("*.jsonl"))
            rows = [row for file in files for row in read_jsonl(file)]
            items = 0
            texts = 0
            if job.general is not None:
                general = read_object(job.general)
                items = sum(task["n"] for task in general["tasks"].values())
                texts = 2 * (48 * general["drift"]["n"] - general["drift"]["n"])
            assert work.records == len(rows) + items
            assert work.predictions == sum(row["response_tokens"] for row in rows) + texts


def test_an_evaluation_calls_its_model_as_counted(ran):
    """Prompts, references, choices with their examples, and texts: each batch of them, to the last token."""
    for rule in ("evaluate", "evaluate_untuned", "evaluate_cross"):
        for wildcards in ran.of_rule(rule):
            work = ran.before[key(rule, wildcards)]
            read = work.reading + work.scoring + work.prompting
            calls = ran.seen[key(rule, wildcards)].passes(lambda columns, _graded: columns > 1)
            assert (read.batches, read.padded) == calls, wildcards


def test_answers_of_a_model_that_never_ends_take_the_steps_that_are_counted(ran):
    (wildcards,) = ran.of_rule("evaluate_untuned")
    job = ran.graph.job("evaluate_untuned", wildcards)
    rows = [row for file in job.predictions for row in read_jsonl(file)]
    assert all(row["capped"] for row in rows)
    work = ran.before[key("evaluate_untuned", wildcards)]
    steps = ran.seen[key("evaluate_untuned", wildcards)].passes(lambda columns, _graded: columns == 1)
    assert (work.answering.batches, work.answering.padded) == steps
    assert work.answering.tokens == sum(row["new_tokens"] for row in rows) + 5 * 5


def test_tuned_models_are_expected_to_end_as_their_references(ran):
    for wildcards in ran.of_rule("evaluate"):
        work = ran.before[key("evaluate", wildcards)].answering
        most = ran.before[key("evaluate_untuned", {"model": "tiny"})].answering
        assert 0 < work.tokens <= most.tokens


def test_a_selection_that_is_there_is_counted_to_the_token(ran):
    for wildcards in ran.of_rule("train"):
        if wildcards["arm"] in ("steps", "full_steps"):
            continue
        assert ran.after[key("train", wildcards)].training.tokens == training_of(ran, "train", wildcards)["tokens"]


def test_requests_are_counted_with_their_examples(ran):
    found = general_of(ran.study, "tiny").tasks
    assert {name: task.items for name, task in found.items()} == {"products": 10, "free": 5}
    assert found["free"].answer == 5
    # Byte-level tokens: two examples and the question in front of the answer.
    assert 2 * len("Q: What follows 1?\nA: 2\n\n") < found["free"].questions.longest < 100
    # 48 tokens of each of the texts.
    assert general_of(ran.study, "tiny").texts.counts == ((48, 6),)


def test_data_that_is_prepared_is_counted(ran):
    for domain in DOMAINS:
        assert load_of(ran.study, "tiny", domain).records == 24
        assert load_of(ran.study, "tiny", domain, "test").records == 8
        assert load_of(ran.study, "tiny", domain, "validation").records == 4


def test_jobs_without_a_model_do_no_passes(ran):
    for (rule, _wildcards), work in ran.before.items():
        if rule.startswith(("prepare_", "select")):
            assert work.training == work.measuring == work.reading == work.scoring == Passes()
