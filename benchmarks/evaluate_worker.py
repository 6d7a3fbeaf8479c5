"""One evaluation of a contestant: `python evaluate_worker.py JOB`, JOB a JSON object (see `Job`).

All contestants get the same token ids and an unmerged adapter of the same weights. A process writes to `out` what its
work took: what is built on the loaded model counts, imports and the reading of weights do not (they count in the time
of the whole process).
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """What a process is told.

    Attributes:
        name: of the contestant.
        part: `cell` (tasks and texts), `tasks`, or `answers`.
        model: folder of the prepared model.
        adapter: folder of its adapter.
        data: JSON object with `tasks` (lists of contexts and continuations by task), `texts`, `prompts` and `ends`.
        out: JSON file to write.
        precision: float32 or bf16.
        threads: of torch.
        count: prompts to answer.
        limit: most tokens of an answer.
        batch: lm-eval's batch size.
    """

    name: str
    part: str
    model: str
    adapter: str
    data: str
    out: str
    precision: str
    threads: int
    count: int = 0
    limit: int = 40
    batch: int = 16


class Silent:
    """A progress that says nothing."""

    label = "benchmark"

    def advance(self, _count: int = 1) -> None:
        """Do nothing."""


def ours(job: Job, data: dict[str, Any]) -> Callable[[], Any]:
    """The engine that the workflow uses."""
    from grads.evaluation.drift import measure_drift, untuned_states
    from grads.evaluation.engines.contract import Continuation
    from grads.evaluation.engines.packed import packed
    from grads.models.adapter import trained_adapter
    from grads.models.load import load_model

    base = load_model(Path(job.model), job.precision)  # type: ignore[arg-type]
    untuned: Any = None
    if job.part == "cell":
        with packed(base, 4608) as engine:
            untuned = untuned_states(engine, data["texts"], Silent())  # type: ignore[arg-type]
    model = trained_adapter(base, Path(job.adapter))

    def work() -> Any:
        with packed(model, 4608) as engine:
            if job.part == "answers":
                return engine.answers(data["prompts"][: job.count], job.limit, data["ends"], lambda: None)
            scores = []
            for items in data["tasks"].values():
                asked = [Continuation(context, tokens) for context, tokens in items]
                scores += [one.log_probability for one in engine.scores(asked, lambda: None)]
            if job.part == "cell":
                measure_drift(engine, data["texts"], untuned, Silent())  # type: ignore[arg-type]
            return scores

    return work


def before(job: Job, data: dict[str, Any]) -> Callable[[], Any]:
    """The commit before the engines: lm-eval's batches of 16 with PEFT's modules; run with its own code."""
    from grads.data.records.formatting import without_end_token
    from grads.evaluation.drift import measure_drift, untuned_states
    from grads.evaluation.inference import autocast_dtype, inference
    from grads.evaluation.lm_eval_model import BenchmarkModel
    from grads.models.adapter import trained_adapter
    from grads.models.load import load_model, load_tokenizer

    base = load_model(Path(job.model), job.precision)  # type: ignore[arg-type]
    untuned = untuned_states(base, data["texts"], 4608, 0, Silent())  # type: ignore[arg-type, call-arg]
    model = trained_adapter(base, Path(job.adapter))
    tokenizer = without_end_token(load_tokenizer(Path(job.model)))

    def work() -> Any:
        chosen = autocast_dtype(model)
        mixed = None if chosen is None else str(chosen).removeprefix("torch.")
        scores = []
        with inference(model):
            benchmark = BenchmarkModel(  # type: ignore[call-arg]
                pretrained=model.get_base_model(), tokenizer=tokenizer, batch_size=job.batch, softmax_dtype="float32",
                mixed_precision_dtype=mixed,
            )  # fmt: skip
            benchmark.progress = Silent()  # type: ignore[assignment]
            for items in data["tasks"].values():
                scores += [score for score, _ in benchmark._loglikelihood_tokens(_requests(items))]
        measure_drift(model, data["texts"], untuned, 4608, 0, Silent())  # type: ignore[arg-type, call-arg]
        return scores

    return work


def lm_eval(job: Job, data: dict[str, Any]) -> Callable[[], Any]:
    """lm-eval's `hf` model with `peft=`."""
    from lm_eval.models.huggingface import HFLM

    half = job.precision == "bf16"
    own = HFLM(
        pretrained=job.model, peft=job.adapter, batch_size=job.batch, device="cpu", softmax_dtype="float32",
        dtype="bfloat16" if half else "float32", mixed_precision_dtype="bfloat16" if half else None,
    )  # fmt: skip

    def work() -> Any:
        found = []
        for items in data["tasks"].values():
            found += [score for score, _ in own._loglikelihood_tokens(_requests(items), disable_tqdm=True)]
        return found

    return work


def generate(job: Job, data: dict[str, Any]) -> Callable[[], Any]:
    """transformers' `generate` with PEFT, all prompts in one batch."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    half = job.precision == "bf16"
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.bfloat16 if half else torch.float32)
    model = PeftModel.from_pretrained(base, job.adapter).eval()
    prompts = data["prompts"][: job.count]
    longest = max(map(len, prompts))
    padding = data["ends"][0]
    ids = torch.tensor([[padding] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])

    def work() -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            found = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=job.limit, do_sample=False, pad_token_id=padding,
                eos_token_id=data["ends"],
            )  # fmt: skip
        answers = found[:, longest:].tolist()
        stops = [next((place for place, one in enumerate(row) if one in data["ends"]), len(row)) for row in answers]
        return [row[: stop + 1] for row, stop in zip(answers, stops, strict=True)]

    return work


CONTESTANTS = {"grads": ours, "before": before, "lm-eval": lm_eval, "generate": generate}


def _requests(items: list[Any]) -> list[Any]:
    return [(("", str(number)), context, tokens) for number, (context, tokens) in enumerate(items)]


def main() -> None:
    """Do the job."""
    job = Job(**json.loads(sys.argv[1]))
    if job.name in ("grads", "before"):
        from grads.runtime.libraries import settle_libraries

        settle_libraries()
    import torch

    torch.set_num_threads(job.threads)
    data = json.loads(Path(job.data).read_text(encoding="utf-8"))
    work = CONTESTANTS[job.name](job, data)
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    Path(job.out).write_text(json.dumps({"seconds": seconds, "found": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
