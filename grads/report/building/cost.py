"""The table of costs, with what runs shared charged twice: whole to each, and divided."""

import pandas as pd

from grads.config.study import Study
from grads.report.rendering.entries import RunMarks
from grads.report.rendering.layout import Block, Entry, Table, number
from grads.report.statistics.estimates import Estimates, runs
from grads.study.paths import TRAIN, split_label, store_folder, store_point

CELL = ["model", "domain", "arm", "ratio", "seed"]
RUN = ["model", "domain", "arm", "ratio"]
# Costs of a cell alone; all others are of runs that cells share.
OWN = ("training", "selection", "evaluation")
PRELIMINARY = "preliminary"
UNITS = ("seconds", "flops")
COLUMNS = (
    *("records", "steps", "tokens", "training_seconds", "training_flops", "passes"),
    *("standalone_seconds", "as_run_seconds", "standalone_flops", "as_run_flops"),
)


def cost_table(study: Study, estimates: Estimates) -> Table:
    """Return the table of costs: what each arm trained on, and what its selection took, alone and as it was shared."""
    facts = cost_rows(study, estimates.frame)
    short = RunMarks(estimates.frame)
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
            "Seconds are wall time on the machine that made this table, while other jobs ran.",
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
    `training_flops`, `standalone_flops` and `as_run_flops` count operations in the same way (`grads.models.flops`),
    those of the choosing itself excepted.
    """
    per_cell = _per_cell(frame)
    runs_used = _shared(frame)
    costs = per_cell[CELL].copy()
    for name in ("records", "steps", "tokens", *UNITS):
        costs[f"training_{name}" if name in UNITS else name] = per_cell[f"training.{name}"].fillna(0)
    used = runs_used.groupby(CELL)[["passes", "forward_passes", *UNITS, *(f"{unit}_share" for unit in UNITS)]].sum()
    used = used.reindex(pd.MultiIndex.from_frame(costs[CELL])).fillna(0).reset_index(drop=True)
    costs["passes"] = used["passes"]
    costs["forward_passes"] = used["forward_passes"]
    for unit, choosing in (("seconds", per_cell["selection.seconds"].fillna(0)), ("flops", 0.0)):
        costs[f"standalone_{unit}"] = choosing + used[unit]
        costs[f"as_run_{unit}"] = choosing + used[f"{unit}_share"]
    costs["evaluation_seconds"] = per_cell["evaluation.seconds"]
    return _ordered(study, costs.groupby(RUN, as_index=False).mean().drop(columns="seed"))


def _costs(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["part"] == "cost"]


def _per_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, with a column `task.metric` per cost of its own; NaN where it has no such cost."""
    costs = _costs(frame)
    wide = costs.assign(name=costs["task"] + "." + costs["metric"]).pivot(index=CELL, columns="name", values="value")
    names = [f"training.{name}" for name in ("records", "steps", "tokens", *UNITS)] + ["selection.seconds"]
    return wide.reset_index().reindex(columns=[*CELL, *names, "evaluation.seconds"])


def _shared(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell and run that its selection used: preliminary epochs and signal stores.

    Columns after those of the cell: `passes` with gradients, `forward_passes`, `seconds`, `flops`, and of both
    their shares, divided by the cells that used the run, whichever model of them it is of.
    """
    costs = _costs(frame)
    costs = costs[~costs["task"].isin(OWN)]
    runs_used = costs.pivot(index=[*CELL, "task"], columns="metric", values="value").reset_index()
    names = ["epochs", "gradient_passes", "forward_passes", *UNITS]
    runs_used = runs_used.reindex(columns=[*CELL, "task", *names])
    labels = runs_used["task"].map(split_label)
    runs_used["of"] = [label[0] or model for label, model in zip(labels, runs_used["model"], strict=True)]
    runs_used["run"] = [label[1] for label in labels]
    by_seed = [run == PRELIMINARY or store_folder(run, 0) != run for run in runs_used["run"]]
    runs_used["once"] = runs_used["seed"].where(by_seed, -1)
    runs_used["passes"] = runs_used["gradient_passes"].fillna(runs_used["epochs"])
    forward_only = (runs_used["gradient_passes"] == 0).astype(float)
    runs_used["forward_passes"] = runs_used["forward_passes"].fillna(forward_only)
    # Stores of validation or anchor records take their seconds and operations, but no pass over the training data.
    others = [run != PRELIMINARY and store_point(run)[2] != TRAIN for run in runs_used["run"]]
    runs_used.loc[others, ["passes", "forward_passes"]] = 0.0
    users = runs_used.groupby(["of", "domain", "run", "once"])["seconds"].transform("count")
    return runs_used.assign(**{f"{unit}_share": runs_used[unit] / users for unit in UNITS})


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
