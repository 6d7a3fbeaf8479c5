"""The table of extremes: the records that each arm ranked first and last, and what its method knew of them."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from grads.config.study import Study
from grads.data.frames import frame_columns, read_frame
from grads.report.files import SelectionFiles
from grads.report.pool import SIGNALS, Pool, Selected
from grads.report.rendering.layout import Block, Entry, Table
from grads.report.statistics.estimates import Run

SHOWN = 10
"""Records at either end."""
LETTERS = 160
"""Characters of a text that are shown."""
TEXTS = ("instruction", "input", "output")
PLACE = ("study", "model", "domain", "arm", "ratio", "seed", "end", "rank", "id", "score", "kept")
COUNTS = ("prompt_tokens", "response_tokens")
COLUMNS = (*PLACE, *COUNTS, *TEXTS)
OWN_ID = "own_id"
"""What the data's owner calls a record: a column after its id where some record has such a name."""


def extreme_facts(study: Study, pool: Pool) -> list[dict[str, Any]]:
    """Return the SHOWN records that each arm ranks first and those it ranks last, under the study's first seed.

    An arm is shown at the first ratio of its list. Arms whose scores are all equal have neither first nor last; they
    are left out, as is what is missing. A fact has PLACE, COUNTS, the columns of the signal stores that the method
    reads, each called `<store>.<column>`, and TEXTS, cut to LETTERS; of vectors there is nothing to show. Records that
    their owner gave a name have OWN_ID too.
    """
    found = []
    for run in _first_runs(pool):
        chosen = pool.selected(run)[0]
        seed = study.seeds[0]
        known = pd.concat([pool.tokens[list(COUNTS)], *_signals(pool, pool.file(run, seed))], axis=1)
        for end, positions in ends(chosen).items():
            for position in positions:
                where = (study.study, pool.model, pool.domain, run.arm, run.ratio, seed, end)
                what = (int(chosen.rank[position]), known.index[position], chosen.score[position])
                fact = dict(zip(PLACE, (*where, *what, bool(chosen.kept[position])), strict=True))
                found.append(fact | known.iloc[position].to_dict())
    texts = _texts(pool, {fact["id"] for fact in found}) if found else {}
    return [fact | texts[fact["id"]] for fact in found]


def _first_runs(pool: Pool) -> list[Run]:
    first: dict[str, Run] = {}
    for run in pool.runs:
        first.setdefault(run.arm, run)
    return [run for run in first.values() if (chosen := pool.selected(run)) and chosen[0].ranks]


def ends(chosen: Selected) -> dict[str, list[int]]:
    """Return positions of the records ranked first, and of those ranked last, last of all in front; none is both."""
    order = np.argsort(chosen.rank, kind="stable")[: int(chosen.eligible.sum())].tolist()
    return {"best": order[:SHOWN], "worst": order[SHOWN:][-SHOWN:][::-1]}


def _signals(pool: Pool, files: SelectionFiles) -> list[pd.DataFrame]:
    """Return for each store that the method reads N rows of the columns that it reads."""
    found = []
    for store, columns in files.reads.items():
        there = set(frame_columns(files.stores[store] / SIGNALS))
        if wanted := [column for column in columns if column in there]:
            found.append(pool.signals(files.stores[store], wanted).add_prefix(f"{store}."))
    return found


def _texts(pool: Pool, ids: Collection[str]) -> dict[str, dict[str, str]]:
    there = set(frame_columns(pool.records))
    columns = [name for name in ("id", OWN_ID, *TEXTS) if name in there]
    table = read_frame(pool.records, columns, filters=[("id", "in", list(ids))])
    found = {row.pop("id"): {name: cut(text) for name, text in row.items()} for row in table.to_dict("records")}
    for row in found.values():
        if not row.get(OWN_ID):
            row.pop(OWN_ID, None)
    return found


def cut(text: str) -> str:
    """Return a text as one line of at most LETTERS characters, whose end says whether it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= LETTERS else line[: LETTERS - 1].rstrip() + "…"


def extreme_table(study: Study, facts: pd.DataFrame) -> Table:
    """Return the table of extremes from `extreme_facts`, two blocks for each model, domain and arm."""
    signals = [name for name in facts if name not in (*COLUMNS, OWN_ID)]
    place = list(PLACE)
    if OWN_ID in facts:
        place.insert(place.index("id") + 1, OWN_ID)
    blocks = []
    for (model, domain, arm, end), mine in facts.groupby(["model", "domain", "arm", "end"], sort=False):
        where = f"{study.models[model].title}, {study.domains[domain].title}"
        title = f"{where}: {Run(arm, mine['ratio'].iloc[0]).title}, {end}"
        blocks.append(Block(title, [_row(fact, signals) for fact in mine.to_dict("records")]))
    return Table(
        name="extremes",
        label=study.label,
        caption=f"The {SHOWN} records that each arm ranked first, and the {SHOWN} that it ranked last, from the end.",
        groups=[("", 8)],
        header=["record", "rank", "score", "kept", "response tokens", "signals", "question", "answer"],
        blocks=blocks,
        notes=[
            f"Seed {study.seeds[0]}, each arm at the first ratio of its list; texts are cut to {LETTERS} characters.",
            "Signals: what the method reads of a record but its token counts; vectors are not shown. A method that "
            "reads another arm's selection shows none of that arm's signals.",
            "Arms that keep every record, or score all records alike, are left out.",
        ],
        tidy=facts[[*place, *COUNTS, *signals, *TEXTS]],
    )


def _row(fact: dict[str, Any], signals: list[str]) -> list[Entry]:
    known = [f"{name} {fact[name]:.4g}" for name in signals if not np.isnan(fact[name])]
    numbers = [f"{fact['rank']}", f"{fact['score']:.4g}", "yes" if fact["kept"] else "no"]
    texts = ["; ".join(known), " / ".join(filter(None, (fact["instruction"], fact["input"]))), fact["output"]]
    own = fact.get(OWN_ID)
    name = f"{fact['id']} ({own})" if isinstance(own, str) else fact["id"]
    plain = [Entry(text) for text in (name, *numbers, f"{fact['response_tokens']:.0f}")]
    return [*plain, *(Entry(text, prose=True) for text in texts)]
