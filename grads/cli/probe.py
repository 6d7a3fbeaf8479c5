"""`grads probe`: the signals of one's own records, and what they took."""

from pathlib import Path
from typing import Annotated, Any

import typer

from grads.api.checks import READ_BY_GRADS, asked_signals, check_choice, check_signals
from grads.cli.options import check_absent
from grads.cli.shared import Own, encoders_of, on_own_files, open_workbench
from grads.runtime.progress import say
from grads.signals.names import MEASURES

SIGNALS_HELP = (
    f"What to measure: {', '.join(sorted(MEASURES))}. Commas between several, or repeat; docs/probe.md says what each "
    "is. If not given, what the method `grads` reads at the point."
)


@on_own_files("seed", "encoder", "probe", "dtype", "token_budget", "micro_batch")
def probe(
    given: Own,
    out: Annotated[Path, typer.Option(help="Folder to write: signals.parquet, vectors, meta.json.")],
    signals: Annotated[list[str] | None, typer.Option(metavar="NAME,...", help=SIGNALS_HELP)] = None,
    point: Annotated[
        str,
        typer.Option(
            help="`tokens`; `base`: untrained; `warm`: after one epoch; `during`: before each step of it; or "
            "`encoder-NAME`: sentences by `--encoder NAME=FOLDER`."
        ),
    ] = "warm",
    keep_examples: Annotated[
        bool,
        typer.Option("--keep-examples", help="Also write examples.parquet, by which the signals can be checked."),
    ] = False,
) -> None:
    """Measure the signals of your records that methods select by.

    Prints what it took at the end: records and tokens a second, and the most memory.

    \b
    Examples:
      grads probe --model ./my-model --data train.jsonl --out signals
      grads probe --model ./my-model --data train.jsonl --point base \\
                  --signals gradients,el2n --dtype float32 \\
                  --keep-examples --out exact
      grads probe --model ./my-model --data train.jsonl --out features \\
                  --signals sgd_features --probe features.size=8
    """
    encoders = [f"encoder-{name}" for name in encoders_of(given)]
    check_choice(point, (*READ_BY_GRADS, *encoders), "--point")
    asked = asked_signals(_named(signals), point)
    check_absent(out)
    bench = open_workbench(given, out)
    from grads.cli.examples import eligible_examples

    check_signals(asked, point, bench.request.training)
    store = bench.store(point, asked)
    _copy_store(store, out, eligible_examples(bench) if keep_examples else None)
    _print_spent(out, bench.store("tokens"), bench.counts)


def _named(signals: list[str] | None) -> list[str] | None:
    """Return the names that were typed, with commas between them or one by one."""
    return signals and [name.strip() for text in signals for name in text.split(",") if name.strip()]


def _copy_store(store: Path, out: Path, examples: Any) -> None:
    import shutil

    from grads.runtime.files import atomic_path
    from grads.signals.store import write_examples

    with atomic_path(out) as temporary:
        shutil.copytree(store, temporary)
        if examples is not None:
            write_examples(temporary, examples)


def _print_spent(out: Path, tokens_store: Path, counts: dict[str, int]) -> None:
    """Print what the probe took, whenever it ran; a rate is that of measuring, without the loading of the model.

    Args:
        out: the store.
        tokens_store: the store `tokens` of the same records.
        counts: of the records that were read, and of those that are empty or duplicates.
    """
    from grads.signals.store import read_meta

    meta = read_meta(out)
    eligible = read_meta(tokens_store)
    tokens = eligible["tokens"]
    seconds = meta.get("seconds_measuring", meta["seconds"])
    records = meta["records"]
    left_out = len(meta.get("left_out", ()))
    rate = f"{records / seconds:,.1f} records/s, {tokens / seconds:,.0f} tokens/s" if seconds else "too fast to tell"
    memory = [f"{size / 1e9:.2f} GB {kind}" for kind, size in meta["peak_memory"].items()]
    out_of = {name: counts[name] for name in ("empty", "duplicate")}
    out_of |= {"too long": eligible["over_length"], "without finite signals": left_out}
    missing = ", ".join(f"{count} {name}" for name, count in out_of.items() if count)
    lines = {
        "records": f"{records:,} of {counts['read']:,}" + (f" ({missing})" if missing else ""),
        "tokens": f"{tokens:,}",
        "throughput": f"{rate} ({seconds:.1f} s; with all around it {meta['seconds']:.1f} s)",
        "peak memory": ", ".join(memory) or "not known on this system",
    }
    for name, text in lines.items():
        typer.echo(f"{name:12} {text}")
    say(f"signals: {out}")
