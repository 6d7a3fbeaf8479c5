"""What a person who waits is told."""

import pytest

from grads.runtime import progress
from grads.runtime.errors import nearest
from grads.runtime.progress import Progress, duration, say


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_at_most_so_often_and_at_the_end(clock, capsys):
    told = Progress("probe", 10, every=5.0)
    for _ in range(10):
        clock[0] += 2.0
        told.advance()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "probe: 3/10 records",
        "probe: 6/10 records",
        "probe: 9/10 records",
        "probe: 10/10 records",
    ]


def test_a_line_has_the_rate_and_the_time_left(clock, capsys):
    told = Progress("train", 100, "steps")
    clock[0] += 10.0
    told.advance(20)
    assert capsys.readouterr().err == "train: 20/100 steps, 2.0/s, 40 s left\n"
    clock[0] += 40.0
    told.advance(80)
    assert capsys.readouterr().err == "train: 100/100 steps, 2.0/s, in 50 s\n"


def test_no_time_passed_is_no_division_by_zero(clock, capsys):
    Progress("x", 1).advance()
    assert "1/1 records, 0.0/s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3600, "1 h 00 min"), (7620, "2 h 07 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_what_is_said_goes_to_standard_error(capsys):
    say("hello")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("name", "valid", "hint"),
    [
        ("trainin", ["training", "probe"], "did you mean 'training'?"),
        ("xyz", ["training", "probe"], "valid names are 'probe', 'training'"),
        ("xyz", [], "there are none to choose from"),
    ],
)
def test_the_nearest_name(name, valid, hint):
    assert nearest(name, valid) == hint
