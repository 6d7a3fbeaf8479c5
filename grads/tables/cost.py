"""The table of costs, with what runs shared charged twice: whole to each, and divided."""

import pandas as pd

from grads.study.config import Study
from grads.study.paths import store_folder
from grads.tables.entries import RunMarks
from grads.tables.estimates import Estimates, runs
from grads.tables.layout import Block, Entry, Table, number

CELL = ["model", "domain", "arm", "ratio", "seed"]
RUN = ["model", "domain", "arm", "ratio"]


def cost_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of costs: what each arm trained on, and what its selection took, alone and as it was shared."""
    facts, short = cost_rows(study, estimates.frame), RunMarks(estimates.frame)
    columns = ["records", "steps", "tokens", "training_seconds", "passes", "standalone_seconds", "as_run_seconds"]
    blocks = []
    for model, entry in study.models.items():
        rows = []
        for run in runs(study):
            mine = facts[(facts["model"] == model) & (facts["arm"] == run.arm) & (facts["ratio"] == run.ratio)]
            # Without a domain there is no mean over domains.
            average = mine[[*columns, "forward_passes", "evaluation_seconds"]].astype(float).mean(skipna=False)
            passes = f"{number(average['passes'], 0)} + {number(average['forward_passes'], 0)}"
            texts = [
                passes if name == "passes" else number(average[name], 1 if "seconds" in name else 0) for name in columns
            ]
            texts = [run.title + short.mark(model, run), *texts, number(average["evaluation_seconds"], 1)]
            rows.append([Entry(text) for text in texts])
        blocks.append(Block(entry.title, rows))
    return Table(
        name="cost",
        label=study.label,
        caption="What a run of each arm takes, as a mean over domains and seeds.",
        groups=[("", 1), ("Training", 4), ("Selection", 3), ("", 1)],
        header=["arm", "records", "steps", "tokens", "s", "passes", "s standalone", "s as run", "evaluation s"],
        blocks=blocks,
        notes=[
            "Passes over the training data that selecting needs: with gradients (preliminary epoch, probe) + forward.",
            "Standalone charges a run with all of these and the choosing; as run divides what is shared by its users.",
            "Seconds are wall time on the machine that made this table, other jobs beside.",
            *short.notes(),
        ],
        tidy=facts,
    )


def cost_rows(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Return costs per model, domain, arm and ratio, as means over seeds.

    Columns: `records`, `steps`, `tokens` and `training_seconds` of the training; `passes` with gradients and
    `forward_passes` over the training data that the selection needs; `standalone_seconds`, with all that the selection
    needs, and `as_run_seconds`, where the preliminary epoch and the signal stores are divided by the number of cells
    that used them, so that the column's sum is what was spent; `evaluation_seconds`. A store counts as it was made,
    for all arms of the study: one that holds gradients took a pass with gradients, whichever arm asked for them.
    """
    per_cell = _per_cell(frame)
    stores = [name.partition(".")[0] for name in per_cell if name.endswith(".gradient_passes")]
    choosing = per_cell["selection.seconds"].fillna(0)
    costs = per_cell[CELL].copy()
    costs["records"] = per_cell["training.records"].fillna(0)
    costs["steps"] = per_cell["training.steps"].fillna(0)
    costs["tokens"] = per_cell["training.tokens"].fillna(0)
    costs["training_seconds"] = per_cell["training.seconds"].fillna(0)
    passes = per_cell[[f"{store}.gradient_passes" for store in stores]]
    costs["passes"] = per_cell["preliminary.epochs"].fillna(0) + passes.sum(axis=1)
    costs["forward_passes"] = (passes == 0).sum(axis=1).astype(float)
    costs["standalone_seconds"] = costs["as_run_seconds"] = choosing
    for part in ("preliminary", *stores):
        seconds = per_cell[f"{part}.seconds"]
        by_seed = ["seed"] if part == "preliminary" or store_folder(part, 0) != part else []
        users = seconds.groupby([per_cell[name] for name in ("model", "domain", *by_seed)]).transform("count")
        costs["standalone_seconds"] = costs["standalone_seconds"] + seconds.fillna(0)
        costs["as_run_seconds"] = costs["as_run_seconds"] + (seconds / users).fillna(0)
    costs["evaluation_seconds"] = per_cell["evaluation.seconds"]
    return _ordered(study, costs.groupby(RUN, as_index=False).mean().drop(columns="seed"))


def _per_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, with a column `task.metric` per cost; NaN where a cell has no such cost."""
    costs = frame[frame["part"] == "cost"].copy()
    costs["name"] = costs["task"] + "." + costs["metric"]
    wide = costs.pivot(index=CELL, columns="name", values="value").reset_index()
    names = ["training.records", "training.steps", "training.tokens", "training.seconds", "selection.seconds"]
    names += ["preliminary.epochs", "preliminary.seconds", "evaluation.seconds"]
    names += [name for name in wide if name.endswith(".gradient_passes")]
    names += [name.replace("gradient_passes", "seconds") for name in wide if name.endswith(".gradient_passes")]
    return wide.reindex(columns=[*CELL, *names])


def _ordered(study: Study, costs: pd.DataFrame) -> pd.DataFrame:
    """Put rows in the order of the config, and the study in front."""
    order = pd.DataFrame(
        [
            (study.study, model, domain, run.arm, run.ratio)
            for model in study.models
            for domain in study.domains
            for run in runs(study)
        ],
        columns=["study", *RUN],
    )
    return order.merge(costs, on=RUN, how="left", validate="one_to_one")
