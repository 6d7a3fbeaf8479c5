"""Pages that are made from what is counted: `docs/plans.md`, and what fits where in `docs/clusters.md`.

Run it as `python -m grads.graph.documentation`, in the folder of grads.
"""

from collections.abc import Iterator
from pathlib import Path

from grads.config.training import Training
from grads.config.yaml_file import read_yaml
from grads.graph.needs import checked_study
from grads.graph.plan import device_plan
from grads.graph.resources import MICRO_BATCH
from grads.graph.study import StudyGraph
from grads.models.footprint import largest_micro_batch
from grads.models.hardware import DEVICES, GB, Device, find_device
from grads.models.known_shapes import known_shapes
from grads.models.size import ModelSize, size_of_config
from grads.runtime.files import write_text

PLANS = Path("docs/plans.md")
CLUSTERS = Path("docs/clusters.md")
CONFIGS = ("config/paper_grads.yaml", "config/paper_less.yaml")
PLANNED_FOR = ("h100-80gb", "a100-80gb")
HEADING = "## What fits where"
MODELS = (
    *("meta-llama/Llama-2-7b-hf", "mistralai/Mistral-7B-v0.1", "Qwen/Qwen2.5-7B"),
    *("meta-llama/Llama-2-13b-hf", "Qwen/Qwen2.5-14B"),
)
LENGTHS = (1024, 2048)
INTRODUCTION = """# Plans of the paper configs

What the two studies after papers take, made by `make plans`. Nothing of it was run, and no machine of ours has a GPU:
jobs are those of the workflow, records are as many as the configs allow with lengths spread evenly up to
`training.max_length`, models have their published shapes
([grads/models/known_shapes.json](../grads/models/known_shapes.json)), and rates are those of the data sheets in
[grads/models/hardware.py](../grads/models/hardware.py). Real records are mostly shorter. Once data and models are
prepared, the same command counts what they hold. Times are those of one device.
"""


def plans() -> str:
    """Return the page of plans."""
    parts = [INTRODUCTION]
    for config in CONFIGS:
        study = checked_study(config)
        graph = StudyGraph(study, read_yaml(config))
        for name in PLANNED_FOR:
            lines = "\n".join(device_plan(study, graph, find_device(name)))
            command = f"grads plan {config} --device {name}"
            block = f"```console no-test: a test makes this page again\n{command}\n```"
            parts.append(f"## {study.study} on {name}\n\n{block}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


def fits() -> str:
    """Return the section on which model can be trained where."""
    # One of each size: nothing else of a GPU counts.
    sizes = {device.memory: device for device in DEVICES.values() if device.memory is not None}
    gpus = [sizes[memory] for memory in sorted(sizes)]
    head = ["model", "weights", "tokens", *(f"{(device.memory or 0) // GB} GB" for device in gpus)]
    rows = [head, [":--", ":--", *["--:"] * (1 + len(gpus))], *(row for id_ in MODELS for row in _rows(id_, gpus))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""{HEADING}

How many records fit into one pass of training, by the arithmetic of
[grads/models/footprint.py](../grads/models/footprint.py) and by the memory of a GPU: {MICRO_BATCH} at most, `-` where
not even one does. In bf16, with an adapter of rank 16 on all linear layers (`lora`) or with all weights (`full`),
records of so many tokens; passes add up to `training.global_batch`. What evaluation takes is set by
`evaluation.token_budget` and `evaluation.generation_batch`, and is not in the table. Made by `make plans`.

{table}
"""


def _rows(id_: str, gpus: list[Device]) -> Iterator[list[str]]:
    size = size_of_config(known_shapes()[id_]["config"])
    assert size is not None
    for weights in ("lora", "full"):
        for length in LENGTHS:
            training = Training(weights=weights, max_length=length)
            name = f"{id_.rpartition('/')[2]} ({known_shapes()[id_]['parameters']} B)"
            yield [name, weights, str(length), *(_fitting(size, training, device) for device in gpus)]


def _fitting(size: ModelSize, training: Training, device: Device) -> str:
    found = largest_micro_batch(size, training, "bf16", device, MICRO_BATCH)
    return "-" if found is None else str(found)


def clusters(page: str) -> str:
    """Return the page on clusters with its last section made again."""
    return page.partition(HEADING)[0].rstrip() + "\n\n" + fits()


def main() -> None:
    """Write both pages below the working directory, which is the repository's root."""
    write_text(PLANS, plans())
    write_text(CLUSTERS, clusters(CLUSTERS.read_text("utf-8")))


if __name__ == "__main__":
    main()
