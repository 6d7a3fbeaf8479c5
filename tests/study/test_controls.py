"""Controls, and the arms that they refer to."""

from grads.selection.registry import find_method, methods
from grads.study.controls import CONTROLS, REFERENCE, reference
from grads.study.reading import read_study


def test_what_the_methods_say_of_themselves_is_what_is_known_here():
    named = {name for name, method in methods().items() if "reference" in method.parameters.model_fields}
    assert named == set(CONTROLS) - {"full"}
    for name in named:
        assert find_method(name).parameters().reference == REFERENCE


def test_the_arm_that_a_control_refers_to():
    study = read_study("config/methods.yaml")
    assert reference(study, "random_length") == "grads"
    assert reference(study, "random_length_less") == "less"


def test_every_arm_that_selects_has_a_length_control_in_the_config_of_all_methods():
    study = read_study("config/methods.yaml")
    selects = {name for name, arm in study.arms.items() if arm.method not in (*CONTROLS, "untuned", "length")}
    lengths = [name for name, arm in study.arms.items() if arm.method == "random_length"]
    assert {reference(study, name) for name in lengths} == selects
    assert len(lengths) == len(selects)
    for name in lengths:
        assert study.arms[name].ratios == study.arms[reference(study, name)].ratios
