"""One pass over a model, a domain and a point serves every method that needs its signals: as the workflow plans it."""

import pytest
import yaml

PASSES = {"probe_base", "probe_warm", "train_warm"}
ARMS = {
    "grads": {"method": "grads"},
    "density": {"method": "grads_density"},
    "central": {"method": "grads_density", "parameters": {"rule": "central"}},
}


@pytest.fixture(scope="module")
def workspace(make_workspace):
    return make_workspace()


def passes(workspace, *names, **changes):
    """Return the planned jobs, those that select and those that pass over the data, of a study with some arms."""
    arms = {name: ARMS[name] | {"ratios": ["0.5"]} for name in names}
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    config |= {"arms": {"untuned": {"method": "untuned"}} | arms} | changes
    (workspace.folder / "passes.yaml").write_text(yaml.safe_dump(config))
    planned = workspace.planned("--configfile", "passes.yaml")
    return planned["select"], {rule: jobs for rule, jobs in planned.items() if rule in PASSES}


def test_a_second_and_a_third_method_of_the_same_signals_add_no_pass(workspace):
    one, three = passes(workspace, "grads"), passes(workspace, *ARMS)
    # Two domains, one seed.
    assert one == (2, dict.fromkeys(PASSES, 2))
    assert three == (6, one[1])


def test_seeds_share_the_pass_over_the_untrained_model(workspace):
    _, planned = passes(workspace, *ARMS, seeds=[0, 1, 2])
    assert planned == {"probe_base": 2, "probe_warm": 6, "train_warm": 6}
