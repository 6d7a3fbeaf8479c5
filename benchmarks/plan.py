"""`python -m benchmarks.plan`: how far `grads plan` is off: three small studies are planned, then run, rule by rule."""

import argparse
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import measured_on, processor_line
from grads.cli.plan import measured_speed, prepare, study_graph
from grads.graph.needs import checked_study
from grads.graph.plan import plan_of
from grads.graph.resources import planned_device
from grads.runtime.errors import GradsError
from grads.runtime.files import read_object, write_json, write_text
from grads.runtime.progress import say
from grads.study.paths import Paths

PAGE = Path("benchmarks/results/plan.md")
WORK = Path("results/bench-plan")
MOST = 0.25
"""The error that is allowed, as a share of the time taken."""
TIME = re.compile(r"\[(\w{3} \w{3} +\d+ [\d:]{8} \d{4})\]")
RULE = re.compile(r"(?:local)?rule (\w+):")
JOB = re.compile(r" +jobid: (\d+)")
FINISHED = re.compile(r"Finished jobid: (\d+)")


@dataclass(frozen=True)
class Case:
    """A study to plan and run: a config of the repository, and what is changed of it."""

    title: str
    config: Path
    change: Callable[[dict[str, Any]], None]


def _as_it_is(_config: dict[str, Any]) -> None:
    """Change nothing."""


def _reading(config: dict[str, Any]) -> None:
    """Train little and ask much: most of the time goes into generation and benchmarks."""
    config["arms"] = {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": ["0.5"]}}
    config["splits"] |= {"train": 16, "test": 24}
    for task in config["general"]["tasks"].values():
        task["sample"] = 30
    del config["claims"]


SMALL = Path(".ci/demo-small.yaml")
CASES = {
    "smoke": Case("a tiny model, so that starting jobs is most of it", Path("config/smoke.yaml"), _as_it_is),
    "training": Case("SmolLM2-135M on a few records: probes, training and evaluation", SMALL, _as_it_is),
    "reading": Case("SmolLM2-135M, hardly trained: answers and benchmarks", SMALL, _reading),
}


def write_config(name: str) -> Path:
    """Write the config of a case, as a study of its own, and return its path."""
    case = CASES[name]
    config = copy.deepcopy(yaml.safe_load(case.config.read_text("utf-8")))
    case.change(config)
    config["study"] = f"bench-plan-{name}"
    path = WORK / f"{name}.yaml"
    write_text(path, yaml.safe_dump(config, sort_keys=False))
    return path


def predict(config: Path, out: Path) -> None:
    """Plan a study for one worker of this machine, and write the seconds of each rule."""
    study = checked_study(config)
    prepare(study, config)
    speed = measured_speed(study, config)
    found = plan_of(study, study_graph(study, config), speed, planned_device(), 1)
    seconds: dict[str, float] = {}
    for job in found.jobs:
        seconds[job.rule] = seconds.get(job.rule, 0.0) + job.seconds
    write_json(out, {"rules": seconds, "start": speed.start})


def taken(log: str) -> dict[str, float]:
    """Return the seconds that each rule's jobs took, from their start to their end, by what Snakemake printed."""
    now = datetime.min
    rule = ""
    begun: dict[str, tuple[str, datetime]] = {}
    seconds: dict[str, float] = {}
    for line in log.splitlines():
        if found := TIME.match(line):
            now = datetime.strptime(found[1], "%a %b %d %H:%M:%S %Y")
        elif found := RULE.match(line):
            rule = found[1]
        elif (found := JOB.match(line)) and rule:
            begun[found[1]] = (rule, now)
            rule = ""
        elif (found := FINISHED.match(line)) and found[1] in begun:
            name, started = begun.pop(found[1])
            seconds[name] = seconds.get(name, 0.0) + (now - started).total_seconds()
    return seconds


def run(config: Path) -> dict[str, float]:
    """Run a study with one job at a time, and return the seconds of each rule.

    Raises:
        GradsError: it failed.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config), "--cores", "1"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise GradsError(f"the study of {config} failed: {' | '.join(result.stdout.splitlines()[-8:])}")
    return {name: seconds for name, seconds in taken(result.stdout).items() if name != "all"}


def error(predicted: float, actual: float) -> float:
    """Return how far a prediction is off, as a share of what it was to predict; above 0 where it is too long."""
    return (predicted - actual) / actual


def section(title: str, predicted: Mapping[str, float], actual: Mapping[str, float]) -> str:
    """Return the part of the page on a study."""
    totals = (sum(predicted.values()), sum(actual.values()))
    lines = [
        f"## {title[0].upper()}{title[1:]}",
        "",
        "| rule | planned, s | taken, s | error |",
        "| :-- | --: | --: | --: |",
    ]
    for rule in actual:
        seconds = predicted.get(rule, 0.0)
        lines.append(f"| {rule} | {seconds:.0f} | {actual[rule]:.0f} | {error(seconds, max(1.0, actual[rule])):+.0%} |")
    lines.append(f"| together | {totals[0]:.0f} | {totals[1]:.0f} | {error(*totals):+.0%} |")
    return "\n".join(lines) + "\n"


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page on all studies that were run."""
    environment = next(iter(found.values()))["environment"]
    worst = max(abs(error(sum(one["planned"].values()), sum(one["taken"].values()))) for one in found.values())
    head = f"""# `grads plan` against the clock

Made by `make bench-plan`: each study is prepared and planned, and then run with one job at a time. `planned` is what
`grads plan` says for this machine by a few measured passes; `taken` is from the start of a job's process to its end, by
Snakemake's log. The error of a whole study is to be at most {MOST:.0%}; the largest here is {worst:.0%}.

{processor_line(environment)}, load average {found[next(iter(found))]["load"]:.1f} at the start.
"""
    parts = [section(CASES[name].title, one["planned"], one["taken"]) for name, one in found.items()]
    return "\n".join([head, *parts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Plan and run the studies, and write the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.plan", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="these studies alone")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write; its numbers lie next to it as JSON")
    parser.add_argument("--predict", nargs=2, type=Path, metavar=("CONFIG", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.predict:
        predict(*options.predict)
        return
    numbers = options.out.with_suffix(".json")
    found: dict[str, Any] = {}
    for name in options.only:
        found[name] = measure(name)
        write_json(numbers, found)
        write_text(options.out, page(found))
    say(f"{options.out} and {numbers} are written")


def measure(name: str) -> dict[str, Any]:
    """Plan a study and run it, from nothing."""
    config = write_config(name)
    shutil.rmtree(Paths(f"bench-plan-{name}").root, ignore_errors=True)
    load = os.getloadavg()[0]
    out = WORK / f"{name}-planned.json"
    say(f"{name}: planning")
    # A process of its own, as the command has.
    subprocess.run([sys.executable, "-m", "benchmarks.plan", "--predict", str(config), str(out)], check=True)
    say(f"{name}: running")
    planned = read_object(out)
    actual = run(config)
    return {
        "planned": planned["rules"],
        "taken": actual,
        "load": load,
        "environment": json.loads(json.dumps(measured_on())),
    }


if __name__ == "__main__":
    main()
