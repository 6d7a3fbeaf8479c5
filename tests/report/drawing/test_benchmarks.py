import pytest

from grads.report.drawing.benchmarks import benchmark_figure
from grads.report.statistics.estimates import Quantity, Run


def shown(figure):
    return [panel for panel in figure.axes if panel.get_visible()]


def test_panels_show_changes_with_their_intervals(study, estimates):
    panels = shown(benchmark_figure(study, estimates))
    assert [panel.get_title(loc="left") for panel in panels] == ["Quiz"] * 4
    labels = [" ".join(panel.get_xlabel().split()) for panel in panels[:2]]
    assert labels == ["change of accuracy, points (higher is better)", "change of gold log p, nats (higher is better)"]
    rows = [" ".join(panel.get_ylabel().split()) for panel in panels]
    assert rows == ["tuned on Law"] * 2 + ["tuned on Tax"] * 2
    runs = [Run("full", "1"), Run("random", "0.05"), Run("random", "0.5"), Run("grads_density", "0.5")]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [run.title for run in runs]
    for panel, metric, scale in ((panels[2], "acc", 100), (panels[3], "gold_logprob_among_choices", 1)):
        for container, run in zip(panel.containers, runs, strict=True):
            change = estimates.difference("tiny", "tax", run, Run("untuned", "0"), Quantity.general("quiz", metric))
            point, _, (bar,) = container
            assert point.get_xdata()[0] == pytest.approx(scale * change.value)
            ends = bar.get_segments()[0][:, 0]
            assert ends == pytest.approx([scale * change.low, scale * change.high])


def test_without_untuned_the_values_are_shown(config, estimate):
    del config["arms"]["untuned"]
    study, estimates = estimate(config)
    panel = shown(benchmark_figure(study, estimates))[0]
    value = estimates.of("tiny", "law", Run("full", "1"), Quantity.general("quiz", "acc")).value
    assert " ".join(panel.get_xlabel().split()) == "accuracy, points (higher is better)"
    assert panel.containers[0][0].get_xdata()[0] == pytest.approx(100 * value)


def test_a_task_without_gold_answers_has_its_accuracy_alone(study, estimates):
    estimates.frame = estimates.frame[estimates.frame["metric"] != "gold_logprob_among_choices"]
    assert len(shown(benchmark_figure(study, estimates))) == 2


def test_more_benchmarks_than_columns_stand_below(config, estimate):
    quiz = config["general"]["tasks"]["quiz"]
    config["general"]["tasks"] = {f"quiz{n}": quiz | {"title": f"Quiz {n}"} for n in range(8)}
    panels = shown(benchmark_figure(*estimate(config)))
    assert [panel.get_title(loc="left") for panel in panels] == [f"Quiz {n}" for n in range(8)] * 4


def test_what_is_missing_is_left_out(study, partial_estimates):
    points = [
        container[0].get_xdata()[0] for container in shown(benchmark_figure(study, partial_estimates))[0].containers
    ]
    assert [point == point for point in points] == [False, True, True, False]
