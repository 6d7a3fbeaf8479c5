"""The command line: `grads COMMAND`. Only what `--help` needs is imported here."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from grads import __version__
from grads.cli import advise, compare, doctor, explain, export, init, plan, probe, report, seal, status, study
from grads.cli import files as own
from grads.runtime.errors import GradsError
from grads.runtime.places import place_sentence, temporary_folder
from grads.runtime.progress import say_error


class _Commands(TyperGroup):
    """Turns what the user can fix into its sentence and exit status 2; any other exception keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GradsError as error:
            say_error(error)
            raise typer.Exit(2) from None
        except Exception as error:
            sentence = place_sentence(error, [Path.cwd(), temporary_folder()])
            if sentence is None:
                raise
            say_error(sentence)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="grads",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A study is run by Snakemake: `grads run mine.yaml`, or `snakemake --configfile mine.yaml` in a checkout",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grads {__version__}")
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
    Write a study, see what it asks for, run it, and see how far it is:
      grads init --model ./my-model --data law.jsonl medicine.jsonl
      grads check mine.yaml
      grads run mine.yaml
      grads status mine.yaml
    """


OWN = "On your own files"
STUDY = "A study"
MACHINE = "This machine"
for panel, command, function in (
    (OWN, "select", own.select),
    (OWN, "probe", probe.probe),
    (OWN, "train", own.train),
    (OWN, "evaluate", own.evaluate),
    (OWN, "metrics", own.metrics),
    (OWN, "compare", compare.compare),
    (STUDY, "init", init.init),
    (STUDY, "check", study.check),
    (STUDY, "advise", advise.advise),
    (STUDY, "list", study.list_),
    (STUDY, "plan", plan.plan),
    (STUDY, "seal", seal.seal),
    (STUDY, "run", study.run),
    (STUDY, "status", status.status),
    (STUDY, "report", report.report),
    (STUDY, "explain", explain.explain),
    (STUDY, "export", export.export),
    (STUDY, "clean", study.clean),
    (MACHINE, "doctor", doctor.doctor),
):
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True} if command == "run" else {}
    app.command(command, rich_help_panel=panel, context_settings=passed_on)(function)


def main() -> None:
    """Run the command line: what the installed command `grads` calls."""
    app()


if __name__ == "__main__":
    main()
