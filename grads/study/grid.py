"""The grid: which cells a study asks for."""

from dataclasses import dataclass

from grads.config.study import Study


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One trained (or untuned) model of a study. `ratio` is a shortest decimal: `0` for untuned, `1` for all data."""

    model: str
    domain: str
    arm: str
    ratio: str
    seed: int

    def __str__(self) -> str:
        """Return the cell as it stands in paths."""
        return f"{self.model}/{self.domain}/{self.arm}/{self.ratio}/{self.seed}"

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return self.ratio != "0"


# Methods whose ratio is part of what they are.
FIXED_RATIOS = {"untuned": "0", "full": "1"}


def arm_ratios(study: Study, arm: str) -> list[str]:
    """Return the ratios of an arm, in the order of the config."""
    declared = study.arms[arm]
    fixed = FIXED_RATIOS.get(declared.method)
    return [fixed] if fixed is not None else list(declared.ratios)


def cross_domains(study: Study, domain: str) -> list[str]:
    """Return the other domains that models tuned on a domain are tested on, none unless the config asks for them."""
    return [other for other in study.domains if other != domain] if study.evaluation.cross_domain else []


def cells(study: Study) -> list[Cell]:
    """Return every cell of the study: models x domains x arms x the arm's ratios x seeds; untuned has seed 0 only."""
    return [
        Cell(model, domain, arm, ratio, seed)
        for model in study.models
        for domain in study.domains
        for arm in study.arms
        for ratio in arm_ratios(study, arm)
        for seed in (study.seeds if ratio != "0" else [0])
    ]
