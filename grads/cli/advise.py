"""`grads advise`: what finished studies say of how to forget little."""

import time
from pathlib import Path
from typing import Annotated

import typer

from grads.cli.options import check_out
from grads.cli.outputs import Force, check_outputs, manifest_of
from grads.cli.study import Config
from grads.runtime.progress import say

RESULTS = Path("results")


def advise(
    config: Config,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a finished study's results, or of several such; repeat for more.", show_default="results"
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="What is forgotten: `general`, the mean accuracy over the study's benchmarks; one of them; or a drift "
            "on general text, `kl`, `nll` or `bits_per_byte`.",
            show_default="general",
        ),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            help="The most that may be lost: points of accuracy, or the drift's unit.", show_default="1 point"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON to write, with all numbers; none if not given.")] = None,
    force: Force = False,
) -> None:
    """Say which mix, rate or ratio kept forgetting below a bound in finished studies of the same model and domain.

    Shows every run of theirs with what it forgot and learnt against the untuned model, by the statistics of the
    tables. A run is below the bound where its whole interval is; from fewer than three seeds nothing is concluded.

    \b
    Examples:
      grads advise mine.yaml
      grads advise mine.yaml --bound 0.5 --measure piqa --results ../old/results
    """
    from grads.study.reading import read_study

    started = time.time()
    study = read_study(config)
    folders = results or [folder for folder in [RESULTS] if folder.is_dir()]
    if out is not None:
        check_out(out, ".json", config)
        check_outputs("advise", [out, manifest_of(out)], [config, *folders], force)
    from grads.api.advice import advice_lines, advise

    found = advise(study, folders, measure, bound)
    for line in advice_lines(found):
        typer.echo(line)
    if out is not None:
        from grads.runtime.files import write_json
        from grads.runtime.manifest import write_manifests

        write_json(out, found.as_json())
        asked = {"command": "advise", "results": list(map(str, folders)), "measure": measure, "bound": bound}
        write_manifests([out], [config], asked, started)
        say(f"advice: {out}")
