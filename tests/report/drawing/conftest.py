"""The fixtures of the figures, whose parts are tested here."""

from tests.report.figures.conftest import collisions, estimate, estimates, partial_estimates  # noqa: F401 - fixtures
