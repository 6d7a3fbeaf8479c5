"""The command line: `grads COMMAND`. Only what `--help` needs is imported here."""

import errno
import importlib.metadata
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from grads.commands import doctor, explain, own, plan, probe, status, study
from grads.runtime.errors import GradsError
from grads.runtime.progress import say

# What a place to read or write may lack, and the user can mend.
MENDABLE = {errno.ENAMETOOLONG, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EISDIR, errno.ENOTDIR}


class _Commands(TyperGroup):
    """Turns what the user can mend into its sentence and exit status 2; any other exception keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GradsError as error:
            for sentence in error.sentences:
                say(f"error: {sentence}")
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno not in MENDABLE or error.filename is None:
                raise
            say(
                f"error: {error.filename}: {os.strerror(error.errno)}: choose another place or name, or make room there"
            )
            raise typer.Exit(2) from None


app = typer.Typer(
    name="grads",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A study as a whole is run by Snakemake: snakemake --configfile mine.yaml",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grads {importlib.metadata.version('grads')}")
        raise typer.Exit


@app.callback()
def grads(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Select data for fine-tuning a language model, and measure what the selection is worth.

    \b
    Choose 5 % of your data for your model:
      grads select --model ./my-model --data train.jsonl --ratio 0.05 \\
                   --out subset.jsonl
    See what a study asks for, and how far it is:
      grads check mine.yaml
      grads status mine.yaml
    """


OWN, STUDY, MACHINE = "On your own files", "A study", "This machine"
for panel, command, function in (
    (OWN, "select", own.select),
    (OWN, "probe", probe.probe),
    (OWN, "train", own.train),
    (OWN, "evaluate", own.evaluate),
    (OWN, "metrics", own.metrics),
    (STUDY, "check", study.check),
    (STUDY, "list", study.list_),
    (STUDY, "plan", plan.plan),
    (STUDY, "run", study.run),
    (STUDY, "status", status.status),
    (STUDY, "explain", explain.explain),
    (STUDY, "clean", study.clean),
    (MACHINE, "doctor", doctor.doctor),
):
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": False} if command == "run" else {}
    app.command(command, rich_help_panel=panel, context_settings=passed_on)(function)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
