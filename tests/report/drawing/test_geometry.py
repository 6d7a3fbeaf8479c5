"""No text of any figure meets another one or leaves the figure, however long names are and however many arms."""

import numpy as np
import pandas as pd
import pytest

from grads.report.drawing.curves import curve_figure
from grads.report.drawing.heatmap import overlap_figure
from grads.report.drawing.magnitudes import Magnitudes, magnitude_figure
from grads.report.measurements import collect
from grads.report.registry import measured_figures
from grads.report.statistics.estimates import Estimates, runs
from grads.runtime.files import read_json, write_json
from grads.study.reading import parse_study

LONG = "Title of a length that nobody expects, with Wordsthatcannotbebrokenanywhereatallbecausetheyhavenospaces"


def long_names(config):
    """Give the study 24 arms, and everything in it a long name."""
    config["label"] = f"{LONG}. " * 4
    config["models"]["tiny"]["title"] = f"Model {'W' * 50}"
    for name in ("law", "tax"):
        config["domains"][name]["title"] = f"{name} {LONG}"
    config["general"]["tasks"]["quiz"]["title"] = f"Quiz {LONG}"
    arm = {"method": "grads_density", "ratios": ["0.05"]}
    for number in range(20):
        config["arms"][f"an_arm_with_a_name_of_forty_letters_or_so_{number}"] = arm


def three_arms(config):
    config["arms"] = {name: config["arms"][name] for name in ("untuned", "full", "random")}


@pytest.fixture(
    params=[(three_arms, 1), (three_arms, 5), (long_names, 1), (long_names, 3)],
    ids=lambda one: f"{one[0].__name__}-{one[1]}",
)
def made(request, config, make_cells):
    """A study, its estimates, and the files of its cells, with curves of 60 steps."""
    change, seeds = request.param
    change(config)
    config["evaluation"]["metrics"] = ["meteor", "response_nll"]
    study = parse_study(config | {"seeds": list(range(seeds))})
    files = make_cells(study)
    for one in files:
        if one.training:
            steps = [{"step": step, "loss": 3 / step} for step in range(1, 61)]
            write_json(one.training, read_json(one.training) | {"curve": steps})
    return study, Estimates(collect(study, files)), files


@pytest.mark.slow
def test_texts_neither_meet_nor_leave_the_figure(made, collisions):
    study, estimates, files = made
    figures = {one.name: one.draw(study, estimates) for one in measured_figures(study)}
    figures["curves"] = curve_figure(study, files)
    figures["overlap"] = overlap_figure(study, overlaps(study))
    figures["magnitudes"] = magnitude_figure(study, magnitudes(study))
    problems = {name: collisions(figure) for name, figure in figures.items()}
    assert problems == {name: [] for name in figures}


def overlaps(study):
    arms = list(dict.fromkeys(run.arm for run in runs(study) if run.ratio == "0.05"))
    facts = [("tiny", "law", "0.05", one, other, 0.5, 0.25, -0.5) for one in arms for other in arms]
    names = ["model", "domain", "ratio", "arm", "other", "jaccard", "jaccard_by_chance", "spearman"]
    return pd.DataFrame(facts, columns=names)


def magnitudes(study):
    luck = np.random.default_rng(0)
    kept = [(run.title, run.arm, luck.lognormal(size=20)) for run in runs(study) if run.ratio not in ("0", "1")]
    label = "gradient norm (head),\nmodel after the preliminary epoch"
    return [Magnitudes("tiny", domain, label, luck.lognormal(size=300), kept) for domain in study.domains]
