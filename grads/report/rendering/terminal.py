"""What a person sees at the end of a run: the main table, and where everything is."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grads.config.study import Study
from grads.report.measurements import read_measurements
from grads.report.metrics import MEASURES
from grads.report.rendering.layout import number, places
from grads.report.statistics.estimates import Estimates, Quantity, runs

_SHOWN = ("bleu", "meteor")


def summary(
    study: Study, measurements: Path, shown: dict[str, Path], report: str, console: Console | None = None
) -> None:
    """Print the main table: BLEU and METEOR per domain and the mean drift, means over seeds; then paths.

    Args:
        study: the study.
        measurements: its long table.
        shown: what else there is to look at, by what it is called, such as `{"tables": Path(...)}`.
        report: the command that puts all of the report into one file.
        console: where to print; standard output when not given.
    """
    console = console or Console()
    console.print(f"\n[bold]{study.study}[/bold]: {escape(study.label)}", highlight=False)
    estimates = Estimates(read_measurements(measurements))
    for model in study.models:
        console.print(_table(study, estimates, model))
    console.print("Best trained arm in bold, second underlined. Drift: mean KL(untuned || tuned) on general text.")
    width = max(map(len, [*shown, "one file"]))
    for name, path in shown.items():
        console.print(f"{name:{width}}  {path}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"{'one file':{width}}  {report}", highlight=False, soft_wrap=True, markup=False)


def _table(study: Study, estimates: Estimates, model: str) -> Table:
    metrics = [metric for metric in study.evaluation.metrics if metric in _SHOWN] or study.evaluation.metrics[:1]
    table = Table(title=escape(study.models[model].title), title_justify="left", header_style="", box=SIMPLE_HEAD)
    table.show_edge = False
    table.pad_edge = False
    table.padding = (0, 0)
    table.add_column("arm", no_wrap=True)
    rows = [[run.title] for run in runs(study)]
    for domain, entry in study.domains.items():
        for metric in metrics:
            title = escape(entry.title) if metric == metrics[0] else ""
            table.add_column(f"{title}\n{MEASURES[metric].arrow}", justify="right", no_wrap=True)
            for row, text in zip(rows, _column(study, estimates, model, domain, metric), strict=True):
                row.append(text)
    table.add_column("Drift\nKL ↓", justify="right", no_wrap=True)
    for row, run in zip(rows, runs(study), strict=True):
        drifts = [estimates.of(model, domain, run, Quantity.general("text", "kl")).value for domain in study.domains]
        table.add_row(*row, number(sum(drifts) / len(drifts), 3))
    return table


def _column(study: Study, estimates: Estimates, model: str, domain: str, metric: str) -> list[str]:
    measure = MEASURES[metric]
    found = {run: estimates.of(model, domain, run, Quantity.domain(metric)) for run in runs(study)}
    picked = [run for run, one in found.items() if run.ranked and one.has_interval]
    ranked = places([found[run].value for run in picked], measure.decimals, measure.higher_is_better)
    place = dict(zip(picked, ranked, strict=True))
    look = {1: "[bold]{}[/bold]", 2: "[underline]{}[/underline]"}
    return [look.get(place.get(run, 0), "{}").format(number(one.value, measure.decimals)) for run, one in found.items()]
