"""Adam's moments: kept by the preliminary epoch, and read by the probe after it, only where a method asks for them."""

from grads.models.moments import load_moments

METHOD = '''"""A method that asks for what Adam remembers."""
from grads.methods.contract import Choice, Method, Needs

NEEDS = Needs({"warm": frozenset({"adam_features"})})
METHOD = Method("asking", "Asking", "a test", lambda given, _: Choice(given.count), needs=lambda _: NEEDS)
'''
MOMENTS = "results/smoke/runs/tiny/sums/warm/1/0/moments.safetensors"


def test_moments_are_kept_and_read_where_a_method_asks_for_them(make_workspace):
    workspace = make_workspace()
    smoke = ("--configfile", "config/smoke.yaml")
    plain = workspace.snakemake("-n", *smoke)
    assert "rule train_warm:" in plain
    assert "moments.safetensors" not in plain

    (workspace.folder / "grads/methods/asking.py").write_text(METHOD)
    (workspace.folder / "asking.yaml").write_text("arms: {asking: {method: asking, ratios: [0.5]}}")
    asking = (*smoke, "asking.yaml")
    places = set()
    for job in workspace.snakemake("-n", *asking).split("\nrule ")[1:]:
        rule, _, lines = job.partition(":\n")
        kinds = dict(line.strip().split(": ", 1) for line in lines.splitlines() if ": " in line)
        places |= {(rule, kind) for kind in ("input", "output") if MOMENTS in kinds.get(kind, "")}
    assert places == {("train_warm", "output"), ("probe_warm", "input")}

    workspace.snakemake("--cores", "1", *asking, "--", MOMENTS)
    assert load_moments(workspace.folder / MOMENTS).steps > 0
