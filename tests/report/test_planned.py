"""What a plan says of the smallest differences: from a pilot's measurements, and what it says where there are none."""

import pytest

from grads.report.measurements import collect, write_measurements
from grads.report.planned import first_tests, pilot_differences, pilot_lines
from grads.report.statistics.estimates import Estimates, Quantity
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study

CLAIMS = [
    {"claim": "random@0.5 beats full on meteor"},
    {"claim": "random@0.5 beats full on meteor", "form": "relative"},
    {"claim": "random@0.5 forgets less than full on general"},
    {"claim": "nobody@0.5 beats full on meteor"},
]


@pytest.fixture
def planned(config, make_cells, tmp_path):
    """Return a study of three seeds, the folder of a pilot of it, and that pilot's estimates."""
    study = parse_study(config | {"seeds": [0, 1, 2]})
    frame = collect(study, make_cells(study))
    write_measurements(frame, tmp_path / "pilot" / "measurements.parquet")
    return study, tmp_path / "pilot", Estimates(frame, partial=True)


def numbers(lines, title):
    (line,) = [one for one in lines if one.startswith(title)]
    return [float(one) for one in line.split()[-2:]]


def test_rows_that_are_tested_first_are_counted(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "claims.yaml").write_text(str(CLAIMS))
    assert first_tests(parse_study(config | {"claims": "claims.yaml"})) == 2
    both = config | {"models": config["models"] | {"other": config["models"]["tiny"] | {"title": "Other"}}}
    assert first_tests(parse_study(both | {"claims": CLAIMS[:1]})) == 2
    assert first_tests(parse_study(both | {"claims": [CLAIMS[0] | {"pool": "models"}]})) == 1


def test_a_study_like_its_pilot_could_see_what_the_pilot_could(planned):
    study, folder, estimates = planned
    lines = list(pilot_lines(study, {"law": 6, "tax": 6}, {"quiz": 10}, folder))
    found = sorted(one.detectable(0.05) for one in pilot_differences(estimates, Quantity.domain("meteor")))
    # Four trained runs on two domains: six pairs each.
    assert len(found) == 12
    middle = (found[5] + found[6]) / 2
    assert numbers(lines, "Law, METEOR")[0] == pytest.approx(middle, abs=0.06)
    assert "3 seeds" in lines[0]
    assert not any("true ones are larger" in line for line in lines)


def test_more_items_see_more(planned):
    study, folder, _ = planned
    few = numbers(pilot_lines(study, {"law": 6}, {"quiz": 10}, folder), "Quiz")
    many = numbers(pilot_lines(study, {"law": 600}, {"quiz": 1000}, folder), "Quiz")
    assert many[0] < few[0]


def test_a_pilot_of_other_things_is_refused_and_what_it_lacks_is_named(planned, config):
    folder = planned[1]
    general = config["general"] | {"tasks": {"other": config["general"]["tasks"]["quiz"] | {"title": "Other"}}}
    more = parse_study(config | {"general": general, "seeds": [0, 1, 2]})
    assert "Not in the pilot: Other." in list(pilot_lines(more, {"law": 6}, {"other": 10}, folder))
    with pytest.raises(GradsError, match="it has no two trained runs"):
        list(pilot_lines(more, {}, {"other": 10}, folder))


def test_a_pilot_of_one_seed_says_what_it_leaves_out(config, make_cells, tmp_path):
    pilot = parse_study(config)
    write_measurements(collect(pilot, make_cells(pilot)), tmp_path / "one" / "measurements.parquet")
    study = parse_study(config | {"seeds": [0, 1, 2]})
    assert "true ones are larger" in list(pilot_lines(study, {"law": 6}, {}, tmp_path / "one"))[-1]
