"""The table of costs, with what runs shared charged twice: whole to each, and divided."""

import pandas as pd

from grads.study.config import Study
from grads.study.paths import store_folder
from grads.tables.entries import Shortfalls
from grads.tables.estimates import Estimates, runs
from grads.tables.layout import Block, Entry, Table, number

CELL = ["model", "domain", "arm", "ratio", "seed"]
RUN = ["model", "domain", "arm", "ratio"]
COLUMNS = (
    *("records", "steps", "tokens", "training_seconds", "training_flops", "passes"),
    *("standalone_seconds", "as_run_seconds", "standalone_flops", "as_run_flops"),
)


def cost_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of costs: what each arm trained on, and what its selection took, alone and as it was shared."""
    facts, short = cost_rows(study, estimates.frame), Shortfalls(estimates.frame)
    blocks = []
    for model, entry in study.models.items():
        rows = []
        for run in runs(study):
            mine = facts[(facts["model"] == model) & (facts["arm"] == run.arm) & (facts["ratio"] == run.ratio)]
            # Without a domain there is no mean over domains.
            average = mine[[*COLUMNS, "forward_passes", "evaluation_seconds"]].astype(float).mean(skipna=False)
            texts = [*(_text(average, name) for name in COLUMNS), _text(average, "evaluation_seconds")]
            rows.append([Entry(text) for text in (run.title + short.mark(model, run), *texts)])
        blocks.append(Block(entry.title, rows))
    return Table(
        name="cost",
        label=study.label,
        caption="What a run of each arm takes, as a mean over domains and seeds.",
        groups=[("", 1), ("Training", 5), ("Selection", 3), ("Selection FLOPs", 2), ("", 1)],
        header=[
            *("arm", "records", "steps", "tokens", "s", "FLOPs", "passes", "s standalone", "s as run"),
            *("standalone", "as run", "evaluation s"),
        ],
        blocks=blocks,
        notes=[
            "Passes over the training data that selecting needs: with gradients (preliminary epoch, probe) + forward.",
            "Standalone charges a run with all of these and the choosing; as run divides what is shared by its users.",
            "Seconds are wall time on the machine that made this table, other jobs beside.",
            "FLOPs are counted by a rule: 2 a parameter and token forward, 2 for gradients of activations, 2 for the "
            "gradient of a trained parameter. Attention, projections and the choosing itself are left out.",
            *short.notes(),
        ],
        tidy=facts,
    )


def _text(average: pd.Series, name: str) -> str:
    if name == "passes":
        return f"{number(average['passes'], 0)} + {number(average['forward_passes'], 0)}"
    if name.endswith("flops") and average[name] > 0:
        mantissa, exponent = f"{average[name]:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return number(average[name], 1 if name.endswith("seconds") else 0)


def cost_rows(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Return costs per model, domain, arm and ratio, as means over seeds.

    Columns: `records`, `steps`, `tokens` and `training_seconds` of the training; `passes` with gradients and
    `forward_passes` over the training data that the selection needs; `standalone_seconds`, with all that the selection
    needs, and `as_run_seconds`, where the preliminary epoch and the signal stores are divided by the number of cells
    that used them, so that the column's sum is what was spent; `evaluation_seconds`. A store counts as it was made,
    for all arms of the study: one that holds gradients took a pass with gradients, whichever arm asked for them.
    `training_flops`, `standalone_flops` and `as_run_flops` count operations in the same way (`grads.tables.flops`),
    those of the choosing itself excepted.
    """
    per_cell = _per_cell(frame)
    stores = [name.partition(".")[0] for name in per_cell if name.endswith(".gradient_passes")]
    choosing = per_cell["selection.seconds"].fillna(0)
    costs = per_cell[CELL].copy()
    costs["records"] = per_cell["training.records"].fillna(0)
    costs["steps"] = per_cell["training.steps"].fillna(0)
    costs["tokens"] = per_cell["training.tokens"].fillna(0)
    costs["training_seconds"] = per_cell["training.seconds"].fillna(0)
    costs["training_flops"] = per_cell["training.flops"].fillna(0)
    passes = per_cell[[f"{store}.gradient_passes" for store in stores]]
    costs["passes"] = per_cell["preliminary.epochs"].fillna(0) + passes.sum(axis=1)
    costs["forward_passes"] = (passes == 0).sum(axis=1).astype(float)
    for unit, own in (("seconds", choosing), ("flops", 0 * choosing)):
        costs[f"standalone_{unit}"] = costs[f"as_run_{unit}"] = own
        for part in ("preliminary", *stores):
            spent = per_cell[f"{part}.{unit}"]
            by_seed = ["seed"] if part == "preliminary" or store_folder(part, 0) != part else []
            users = spent.groupby([per_cell[name] for name in ("model", "domain", *by_seed)]).transform("count")
            costs[f"standalone_{unit}"] += spent.fillna(0)
            costs[f"as_run_{unit}"] += (spent / users).fillna(0)
    costs["evaluation_seconds"] = per_cell["evaluation.seconds"]
    return _ordered(study, costs.groupby(RUN, as_index=False).mean().drop(columns="seed"))


def _per_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, with a column `task.metric` per cost; NaN where a cell has no such cost."""
    costs = frame[frame["part"] == "cost"].copy()
    costs["name"] = costs["task"] + "." + costs["metric"]
    wide = costs.pivot(index=CELL, columns="name", values="value").reset_index()
    names = [f"training.{name}" for name in ("records", "steps", "tokens", "seconds", "flops")]
    names += ["selection.seconds", "preliminary.epochs", "preliminary.seconds", "preliminary.flops"]
    names += ["evaluation.seconds"]
    stores = [name.partition(".")[0] for name in wide if name.endswith(".gradient_passes")]
    names += [f"{store}.{name}" for store in stores for name in ("gradient_passes", "seconds", "flops")]
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
