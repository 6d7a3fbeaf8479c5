"""`grads compare`: two models' answers to the same items."""

import time
from pathlib import Path
from typing import Annotated

import typer

from grads.cli.options import check_out
from grads.cli.outputs import Force, check_outputs, manifest_of
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

Output = Annotated[Path, typer.Argument(help="Predictions (JSON lines), or lm-eval's samples: a file or their folder.")]


def compare(
    a: Output,
    b: Output,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Repeat for several. Of predictions bleu and chrf, of samples all if not given."),
    ] = None,
    language: Annotated[str, typer.Option(help="Of predictions: `en`, `zh` or `other`.")] = "en",
    wordnet: Annotated[Path, typer.Option(help="WordNet folder, which METEOR needs.")] = Path("resources/wordnet"),
    chance: Annotated[
        float | None,
        typer.Option(help="Probability of guessing an item right; by the number of its choices if not given."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON to write, with all numbers; none if not given.")] = None,
    force: Force = False,
) -> None:
    """Compare two models' answers to the same items: is the difference more than chance?

    Items are paired by their ids (`doc_id` of lm-eval). Differences are B - A, with the intervals and tests that a
    study's tables have: exact where items are right or wrong, and then with the answers that changed.

    \b
    Examples:
      grads compare base.jsonl tuned.jsonl --metric bleu
      grads compare lm_eval/base lm_eval/tuned --out compared.json
    """
    started = time.time()
    for path in (a, b):
        if not path.exists():
            raise GradsError(f"{path} is not there: give predictions, or what lm-eval wrote with --log_samples")
    if out is not None:
        check_out(out, ".json", a)
        check_outputs("compare", [out, manifest_of(out)], [a, b, wordnet], force)
    from grads.api.compare import compare_paths

    found = compare_paths(a, b, metric or [], language, wordnet, chance)
    typer.echo(str(found))
    if out is not None:
        from grads.runtime.files import write_json
        from grads.runtime.manifest import write_manifests

        write_json(out, found.as_json())
        asked = {"command": "compare", "metrics": metric or [], "language": language, "chance": chance}
        write_manifests([out], [a, b], asked, started)
        say(f"compared: {out}")
