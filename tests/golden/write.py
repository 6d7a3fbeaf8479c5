"""Run the golden studies of this working tree, and write what is expected of them from now on: `make golden`.

Tables go next to their study; selections.json says, by cell, what stands for the set of records that it kept. A tiny
random model answers hardly anything right, so the metrics of some written answers are expected, too.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from grads.evaluation.metrics.compute import compute_metrics
from grads.evaluation.metrics.contract import LANGUAGES, Setting
from grads.evaluation.metrics.registry import computed, metrics
from grads.study.grid import cells
from grads.study.paths import WORDNET
from grads.study.reading import read_study
from tests.golden.compare import GOLDEN, golden_studies, selection_hashes, snakemake

ANSWERS, MEASURED = GOLDEN / "data" / "answers.jsonl", GOLDEN / "data" / "answers.json"


def measured_answers(answers: Path, wordnet: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return value and signature of every metric of a file of answers, by language and metric.

    Args:
        answers: JSON lines as evaluation writes them.
        wordnet: the folder where WordNet is installed.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for language in LANGUAGES:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "metrics.json"
            compute_metrics(answers, sorted(computed(metrics())), out, Setting(language, wordnet))
            results = json.loads(out.read_text(encoding="utf-8"))
        found[language] = {
            name: {"value": result["value"], "signature": result.get("signature", "")}
            for name, result in results.items()
        }
    return found


def write_json(path: Path, content: object) -> None:
    """Write JSON that a reader of differences can read."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run all studies, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="all", help="jobs at once (default: %(default)s cores)")
    options = parser.parse_args()
    studies = golden_studies(Path()).values()
    for study in studies:
        subprocess.run(snakemake(study, options.jobs), check=True)
    for study in studies:
        for target in study.targets:
            shutil.copy(target, study.folder)
        # Arms of yesterday may lie there still.
        asked = {str(cell) for cell in cells(read_study(study.config))}
        kept = {cell: digest for cell, digest in selection_hashes(study.results).items() if cell in asked}
        write_json(study.folder / "selections.json", kept)
    write_json(MEASURED, measured_answers(ANSWERS, WORDNET))


if __name__ == "__main__":
    main()
