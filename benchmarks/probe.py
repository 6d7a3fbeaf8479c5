"""`python -m benchmarks.probe`: the probe next to its peers, in one run."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.catalogue import BERGSON, Entry, entries
from benchmarks.comparison import Field, cold_compilation, compare
from benchmarks.environment import bergson_versions, own_python
from benchmarks.examples import DOWNLOADS, LAYOUTS, Item, glossary, layouts, medquad
from benchmarks.machine import measured_on
from benchmarks.protocol import Settings
from benchmarks.report import markdown
from benchmarks.scaling import (
    COUNTS,
    LENGTHS,
    MANY,
    OF_EACH_LENGTH,
    against_count,
    against_length,
    memory_against_count,
    tiny_model,
)
from grads.config.sources import ArchiveSource
from grads.config.study import Study
from grads.data.sources.archives import fetch
from grads.models.load import load_tokenizer
from grads.models.prepare import prepare_model
from grads.runtime.errors import GradsError, nearest
from grads.runtime.files import write_json, write_text
from grads.runtime.libraries import settle_libraries
from grads.runtime.progress import say
from grads.study.reading import read_study

DEMO = Path("config/demo-large.yaml")
DEMO_MODEL = Path("results/demo-large/models/smollm2")
SCRATCH = Path("results/bench-probe")
RESULTS = Path("benchmarks/results")
PARTS = ("tables", "count", "length", "memory")
SOURCES = ("glossary", "MedQuAD")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write `probe.md` and `probe.json`, again after each part."""
    parser = _parser()
    if parser.parse_args(arguments).quick:
        parser.set_defaults(records=8, repeats=2, out=SCRATCH / "quick")
    options = parser.parse_args(arguments)
    settle_libraries()
    try:
        results = _results(options)
    except GradsError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    say(markdown(results))


def _results(options: argparse.Namespace) -> dict[str, Any]:
    chosen, left_out = _contestants(options)
    study = read_study(DEMO)
    model = options.model or (tiny_model(options.scratch) if options.quick else _model(study))
    tokenizer = load_tokenizer(model)
    settings = Settings("", str(Path(model).resolve()), options.threads, options.token_budget, encoder=options.encoder)
    pythons = {entry.module: Path(sys.executable) for entry in chosen.values()}
    if BERGSON in chosen:
        pythons[chosen[BERGSON].module] = own_python("bergson")
    field = Field(chosen, settings, pythons, options.scratch, options.repeats)
    results = _heading(options, settings, str(model), left_out)
    if BERGSON in chosen:
        results["bergson"] = bergson_versions(pythons[chosen[BERGSON].module])
    steps = _steps(options, field, study, tokenizer)
    for key, step in steps:
        results[key] += step
        write_json(options.out / "probe.json", results)
        write_text(options.out / "probe.md", markdown(results))
    return results


def _steps(options: argparse.Namespace, field: Field, study: Study, tokenizer: Any) -> Any:
    """Yield (key of the results, list to add) part by part."""
    records = glossary(study, options.scratch)
    counts = (4, 8) if options.quick else COUNTS
    data = {"glossary": layouts(records, tokenizer, options.records)}
    if options.medquad:
        data["MedQuAD"] = layouts(medquad(options.medquad), tokenizer, options.records)
    if "tables" in options.parts:
        for source, by_layout in data.items():
            if source not in options.sources:
                continue
            for layout in options.layouts:
                cold = {} if options.warm_cache else cold_compilation(field, by_layout[layout])
                yield "tables", [compare(field, f"{source}, {layout} template", by_layout[layout], cold)]
    if "count" in options.parts:
        many: list[Item] = layouts(records, tokenizer, max(counts))["plain"]
        yield "series", [against_count(field, many, counts)]
    if "length" in options.parts:
        lengths, count = ((16, 32), 2) if options.quick else (LENGTHS, OF_EACH_LENGTH)
        yield "series", [against_length(field, len(tokenizer), lengths, count)]
    if "memory" in options.parts:
        yield "memory", memory_against_count(field, (20, 200) if options.quick else MANY)


def _contestants(options: argparse.Namespace) -> tuple[dict[str, Entry], list[str]]:
    """Return the contestants that were asked for, and why others are left out."""
    known = entries()
    for name in (*options.only, *options.skip):
        if name not in known:
            raise GradsError(f"there is no contestant '{name}': {nearest(name, known)}")
    chosen = {name: entry for name, entry in known.items() if name in (options.only or known)}
    left_out = [f"{name} (not asked for)" for name in known if name not in chosen or name in options.skip]
    chosen = {name: entry for name, entry in chosen.items() if name not in options.skip}
    if not options.encoder and "encoder" in chosen:
        del chosen["encoder"]
        left_out.append("the sentence encoder (name a model folder with --encoder)")
    if not options.medquad:
        left_out.append("MedQuAD (name a file with --medquad)")
    for reason in left_out:
        say(f"left out: {reason}")
    return chosen, left_out


def _model(study: Study) -> Path:
    """Return the demonstration's model, as it prepared it, or prepared here from the same archive."""
    if DEMO_MODEL.is_dir():
        return DEMO_MODEL
    folder = SCRATCH / "smollm2"
    if not folder.is_dir():
        source = study.models["smollm2"].source
        assert isinstance(source, ArchiveSource)
        prepare_model(source, fetch(study.archives[source.archive], DOWNLOADS), folder)
    return folder


def _heading(options: argparse.Namespace, settings: Settings, model: str, left_out: list[str]) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "environment": measured_on(),
        "load_average": round(os.getloadavg()[0], 2),
        "settings": {key: value for key, value in asdict(settings).items() if key not in ("name", "model")},
        "model": Path(model).name,
        "repeats": options.repeats,
        "bergson": {},
        "left_out": left_out,
        "tables": [],
        "series": [],
        "memory": [],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("--model", type=Path, help=f"prepared model folder (default: {DEMO_MODEL}, or made like it)")
    parser.add_argument("--medquad", type=Path, help="JSON lines of instruction, input, output; else left out")
    parser.add_argument("--encoder", default="", help="folder of a sentence encoder; else left out")
    parser.add_argument("--records", type=int, default=256, help="records of each source (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of a contestant (default: %(default)s)")
    parser.add_argument("--token-budget", type=int, default=2048, help="tokens of a batch (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[], help=f"contestants to run, of {', '.join(entries())}")
    parser.add_argument("--skip", nargs="+", default=[], help="contestants to leave out")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="parts to run (default: all)")
    parser.add_argument("--sources", nargs="+", default=SOURCES, choices=SOURCES, help="of the tables (default: all)")
    parser.add_argument("--layouts", nargs="+", default=LAYOUTS, choices=LAYOUTS, help="of the tables (default: all)")
    parser.add_argument("--warm-cache", action="store_true", help="do not time compilation with an empty cache")
    parser.add_argument("--quick", action="store_true", help="a tiny random model and tiny sizes, to see that it runs")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="working folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
