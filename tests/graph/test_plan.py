from grads.graph.plan import Plan, PlannedJob, group_sizes
from grads.graph.work import Work


def plan(**seconds):
    """A plan of jobs that take so many seconds, by their rule."""
    jobs = [PlannedJob(rule, Work(), one, 100, 0) for rule, each in seconds.items() for one in each]
    return Plan(jobs, {}, 0.0, 1)


def test_a_group_takes_about_an_hour():
    assert group_sizes(plan(train=[300.0] * 50, evaluate=[100.0, 260.0] * 40)) == {"train": 12, "evaluate": 20}


def test_long_and_unknown_jobs_are_no_groups():
    assert group_sizes(plan(train=[3000.0] * 50, evaluate=[0.0] * 50, select=[1.0] * 50)) == {}


def test_no_group_is_larger_than_all_jobs():
    assert group_sizes(plan(train=[10.0] * 5, evaluate=[10.0])) == {"train": 5}
