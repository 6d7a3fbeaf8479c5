"""Every system that the documents name which this project began with is found by its name on a page."""

from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class System:
    """A system: the name that one would look for, the paper's number, and where it is told about."""

    name: str
    paper: str
    page: str
    section: str


SYSTEMS = [
    System("GrADS", "2511.08620", "methods", "grads"),
    System("GrADS", "2511.08620", "methods", "grads_density"),
    System("The Harder The Better", "2510.13892", "methods", "thtb"),
    System("Diversity as a Reward", "2502.04380", "methods", "daar"),
    System("60 Data Points are Sufficient", "2409.15825", "methods", "mastery"),
    System("Large Language Models as Data Preprocessors", "2308.16361", "methods", "llm_filter"),
    System("G2IS", "2502.11062", "methods", "g2is"),
    System("Orthogonal Gradient Selection", "2602.06359", "methods", "ogs"),
    System("Orthogonal Gradient Selection", "2602.06359", "methods", "ogs_rl"),
    System("GRAD-MATCH", "2103.00123", "methods", "grad_match"),
    System("Partitioned Gradient Matching", "2210.16892", "methods", "pgm"),
    System("Domain Curiosity", "Domain Curiosity", "methods", "curiosity"),
    System("journal impact metrics", "2409.02725", "methods", "metadata"),
    System("Test-Time Learning", "2505.20633", "strategies", "tlm"),
    System("low-perplexity token learning", "2501.14315", "strategies", "stm"),
    System("EcomGPT-CT", "2312.15696", "strategies", "replay"),
    System("To Repeat or Not To Repeat", "2305.13230", "strategies", "dropout"),
]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.section)
def test_a_system_is_found_by_name_and_by_paper(system: System) -> None:
    page = (ROOT / "docs" / f"{system.page}.md").read_text(encoding="utf-8")
    _, found, rest = page.partition(f"\n## {system.section}\n")
    assert found, f"docs/{system.page}.md has no section {system.section}"
    section = " ".join(rest.partition("\n## ")[0].split())
    assert system.name.lower() in section.lower()
    assert system.paper in section
