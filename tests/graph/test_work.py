"""What is counted of jobs before they run is what they do: a study of every kind of job is run, its model watched."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path

import pytest
import torch
import yaml
from transformers.models.llama.modeling_llama import LlamaModel

from grads.cli.calibration import count_requests
from grads.data.passes import NO_LENGTHS, Passes
from grads.evaluation.engines import packed
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

    Attributes:
        calls: all of them.
        written: tokens of each call by which the packed engine writes answers.
        read: tokens of each other call, without LOOK.
        scored: tokens at which the packed engine applied the LM head to choices.
    """

    calls: list[tuple[int, int, bool]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    scored: int = 0

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
    config["evaluation"] |= {"engine": "fast", "task_batch": 3, "generation_batch": 3}
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
    watch = Watch(patch)
    for job in graph.in_order():
        rule, wildcards = calls[id(job)]
        if not rule.startswith(RUN) or is_left_out(rule, wildcards):
            continue
        if rule == "evaluate_untuned":
            count_requests(study, "tiny")
        found.before[key(rule, wildcards)] = counted(study, rule, wildcards)
        found.seen[key(rule, wildcards)] = watch.now = Seen()
        perform(job, Machine(micro_batch=MICRO_BATCH, token_budget=study.probe.token_budget))
    found.after = {name: counted(study, name[0], dict(name[1])) for name in found.before}
    return found


class Watch:
    """Notes what the model is given, but for the engines' trials of a model that is new to them."""

    def __init__(self, patch):
        self.now = Seen()
        self.writing = False
        self.trying = False
        forward = LlamaModel.forward
        head_logits = packed.head_logits

        # Engines look at what the model takes.
        @wraps(forward)
        def watched(model, input_ids=None, **keywords):
            if not self.trying:
                self.now.calls.append((*input_ids.shape, torch.is_grad_enabled()))
                if self.writing:
                    self.now.written.append(input_ids.numel())
                elif input_ids.shape != LOOK:
                    self.now.read.append(input_ids.numel())
            return forward(model, input_ids, **keywords)

        def predicted(model, states):
            self.now.scored += 0 if self.writing else len(states)
            return head_logits(model, states)

        patch.setattr(LlamaModel, "forward", watched)
        patch.setattr(packed, "head_logits", predicted)
        patch.setattr(packed.Packed, "continued", self.within("writing", packed.Packed.continued))
        for name in ("_plain_states", "_compare"):
            patch.setattr(packed, name, self.within("trying", getattr(packed, name)))

    def within(self, flag, function):
        """Return a function during which a flag is set."""

        def flagged(*arguments):
            setattr(self, flag, True)
            try:
                return function(*arguments)
            finally:
                setattr(self, flag, False)

        return flagged


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


def evaluations(ran):
    """Yield each evaluation: its job, what was counted of it, what its model saw, and its answers as recorded."""
    for rule in ("evaluate", "evaluate_untuned", "evaluate_cross"):
        for wildcards in ran.of_rule(rule):
            job = ran.graph.job(rule, wildcards)
            name = key(rule, wildcards)
            files = job.predictions or sorted(job.cross.glob("*.jsonl"))
            yield job, ran.before[name], ran.seen[name], [row for file in files for row in read_jsonl(file)]


def test_answers_and_items_are_those_recorded(ran):
    for job, work, seen, rows in evaluations(ran):
        items = 0
        texts = 0
        if job.general is not None:
            general = read_object(job.general)
            items = sum(task["n"] for task in general["tasks"].values())
            texts = 2 * (48 * general["drift"]["n"] - general["drift"]["n"])
            assert seen.scored > 0
        assert work.records == len(rows) + items
        assert work.predictions == sum(row["response_tokens"] for row in rows) + texts + seen.scored


def test_an_evaluation_reads_as_counted(ran):
    """References, trees of choices with their examples, and texts: each batch of them, to the last token."""
    for _job, work, seen, _rows in evaluations(ran):
        read = work.reading + work.scoring
        assert (read.batches, read.padded) == (len(seen.read), sum(seen.read))
        assert read.padded == read.tokens


def test_an_evaluation_reads_its_prompts_as_counted(ran):
    for job, work, seen, rows in evaluations(ran):
        steps = sum(seen.written) - work.prompting.padded
        if job.general is None:
            # The prompt gives the first token of an answer; a token that ends one is not in its length.
            assert steps == sum(row["new_tokens"] + (not row["capped"]) - 1 for row in rows)
        assert work.prompting.padded == work.prompting.tokens
        assert steps >= 0


def test_answers_of_a_model_that_never_ends_take_the_steps_that_are_counted(ran):
    (wildcards,) = ran.of_rule("evaluate_untuned")
    job = ran.graph.job("evaluate_untuned", wildcards)
    rows = [row for file in job.predictions for row in read_jsonl(file)]
    assert all(row["capped"] for row in rows)
    work = ran.before[key("evaluate_untuned", wildcards)]
    written = work.prompting + work.answering
    steps = ran.seen[key("evaluate_untuned", wildcards)].written
    assert (written.batches, written.padded) == (len(steps), sum(steps))
    assert work.answering.tokens == sum(row["new_tokens"] for row in rows) + 5 * 5


def test_the_reference_engine_calls_its_model_as_counted(ran, monkeypatch):
    """Prompts, references, choices with their examples, texts, and the steps of answers that never end."""
    plain = ran.study.evaluation.model_copy(update={"engine": "reference"})
    study = ran.study.model_copy(update={"evaluation": plain})
    counted_now = counted(study, "evaluate_untuned", {"model": "tiny"})
    watch = Watch(monkeypatch)
    perform(StudyGraph(study).job("evaluate_untuned", {"model": "tiny"}), Machine())
    read = counted_now.reading + counted_now.scoring + counted_now.prompting
    assert (read.batches, read.padded) == watch.now.passes(lambda columns, _graded: columns > 1)
    steps = watch.now.passes(lambda columns, _graded: columns == 1)
    assert (counted_now.answering.batches, counted_now.answering.padded) == steps
    packed_count = ran.before[key("evaluate_untuned", {"model": "tiny"})]
    assert counted_now.scoring.padded > packed_count.scoring.padded


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
    # Choices of an item have its question in common; each is predicted at its own tokens.
    planted = found["products"].planted
    assert planted["cpu"] == planted["cuda"]
    assert planted["cpu"].trees.tokens < found["products"].choices.tokens
    assert found["free"].planted["cpu"].trees == NO_LENGTHS
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
