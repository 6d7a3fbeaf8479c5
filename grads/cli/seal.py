"""`grads seal`: settle config, claims and statistics before a run."""

from typing import Annotated

import typer

from grads.cli.study import Config, checked_study


def seal(
    config: Config, again: Annotated[bool, typer.Option("--again", help="Seal again what has changed since.")] = False
) -> None:
    """Settle config, claims and the code of the statistics before a run; the table of claims then says so.

    Writes results/<study>/seal.json and prints a number that stands for it: keep that where others can see its date,
    as in a commit or a registry. What changes afterwards is said below the table, and so is a seal that came after the
    first cells.

    \b
    Example:
      grads seal mine.yaml
    """
    from grads.report.seal import evaluated_before, seal_again
    from grads.study.grid import cells
    from grads.study.paths import Paths

    study = checked_study(config)
    found, new = seal_again(study, again)
    path = Paths(study.study).seal
    what = f"{len(found.claims)} claims" if found.claims else "no claims (nothing will be judged)"
    if new:
        typer.echo(f"sealed as {found.number}: config, {what}, {len(found.statistics)} modules; in {path}")
    else:
        typer.echo(f"is sealed as {found.number} since {found.sealed}, and nothing has changed; in {path}")
    if before := len(evaluated_before(study, found)):
        typer.echo(
            f"{before} of {len(cells(study))} cells had begun to be evaluated before: the table of claims says so"
        )
