import pytest

from grads.study.load import parse_study
from grads.tables.estimates import Estimates
from grads.tables.measurements import collect


@pytest.fixture
def estimates(study, make_cells):
    return Estimates(collect(study, make_cells(study)))


@pytest.fixture
def partial_estimates(study, make_cells):
    """Estimates of a study that lacks the full arm on law and the density arm everywhere."""
    gone = {("full", "law"), ("grads_density", "law"), ("grads_density", "tax")}
    files = [one for one in make_cells(study) if (one.cell.arm, one.cell.domain) not in gone]
    return Estimates(collect(study, files, partial=True), partial=True)


@pytest.fixture
def estimate(make_cells):
    """Return a function that makes a study of a config, and its estimates."""

    def made(config):
        study = parse_study(config)
        return study, Estimates(collect(study, make_cells(study)))

    return made
