"""Adam's moments: kept by the preliminary epoch, and read by the probe after it, only where a method asks for them."""

import pytest

from grads.models.moments import load_moments

pytestmark = pytest.mark.slow

METHOD = '''"""A method that asks for what Adam remembers."""
from grads.selection.contract import Choice, Method, Needs

NEEDS = Needs({"warm": frozenset({"adam_features"})})
METHOD = Method(
    name="asking",
    title="Asking",
    source="a test",
    select=lambda given, _: Choice(given.count),
    needs=lambda _: NEEDS,
)
'''
MOMENTS = "results/smoke/runs/tiny/sums/warm/1/0/moments.safetensors"
SMOKE = ("--configfile", "config/smoke.yaml")


@pytest.fixture(scope="module")
def workspace(make_workspace):
    return make_workspace()


def ask(workspace, more=""):
    """Return the arguments for the smoke study with a method that asks for Adam features, and more in its config."""
    (workspace.folder / "grads/selection/methods/asking.py").write_text(METHOD)
    (workspace.folder / "asking.yaml").write_text(f"arms: {{asking: {{method: asking, ratios: [0.5]}}}}\n{more}")
    return *SMOKE, "asking.yaml"


def test_what_could_not_be_measured_is_refused_before_the_epoch(workspace):
    costly = ask(workspace, "probe: {features: {projection: dense, dimension: 100000}}")
    output = workspace.snakemake("--cores", "1", *costly, "--", MOMENTS, fails=True)
    assert "error: the dense projection takes" in output
    assert "Traceback" not in output
    assert not (workspace.folder / "results/smoke/scratch/train").exists()


def test_moments_are_kept_and_read_where_a_method_asks_for_them(workspace):
    plain = workspace.snakemake("-n", *SMOKE)
    assert "rule train_warm:" in plain
    asked = [line for line in plain.splitlines() if line.strip().startswith(("input:", "output:"))]
    assert not [line for line in asked if "moments.safetensors" in line]

    asking = ask(workspace)
    places = set()
    for job in workspace.snakemake("-n", *asking).split("\nrule ")[1:]:
        rule, _, lines = job.partition(":\n")
        kinds = dict(line.strip().split(": ", 1) for line in lines.splitlines() if ": " in line)
        places |= {(rule, kind) for kind in ("input", "output") if MOMENTS in kinds.get(kind, "")}
    assert places == {("train_warm", "output"), ("probe_warm", "input")}

    workspace.snakemake("--cores", "1", *asking, "--", MOMENTS)
    assert load_moments(workspace.folder / MOMENTS).steps > 0
