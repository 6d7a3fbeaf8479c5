"""Files next to the code that must agree with it and with each other."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import grads

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def pins(lines):
    """Return {package: version} of `package==version` lines."""
    return {canonicalize_name(name): version for name, version in (line.strip().split("==") for line in lines)}


@pytest.fixture(scope="module")
def constraints():
    lines = (ROOT / "envs/constraints.txt").read_text(encoding="utf-8").splitlines()
    return pins(line for line in lines if line and not line.startswith("#"))


def test_every_dependency_is_pinned_to_a_version_that_is_allowed(constraints):
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in [*PROJECT["dependencies"], *extras]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in constraints, f"{name} is not in envs/constraints.txt"
        assert requirement.specifier.contains(constraints[name], prereleases=True), line


def test_the_conda_environment_agrees_with_the_constraints(constraints):
    dependencies = read_yaml("envs/grads.yaml")["dependencies"]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    found = pins(pip)
    assert set(found) == {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert found == {name: constraints[name] for name in found}
    (python,) = (entry for entry in dependencies if isinstance(entry, str) and entry.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.removeprefix("python="))


def test_the_conda_environment_has_no_paths():
    """Snakemake copies the file into .snakemake/conda, from where a relative path leads elsewhere."""
    assert not re.search(r"^ *- *(--|\.)", (ROOT / "envs/grads.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert "--editable ." in (ROOT / "envs/grads.post-deploy.sh").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version():
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == grads.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_the_catalog_entry_is_where_the_catalog_reads_it():
    usage = read_yaml(".snakemake-workflow-catalog.yml")["usage"]
    assert usage["report"] is True
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/README.md").is_file()


def rules_with_devices():
    """Return {rule: whether its resources ask for a GPU}, as the rule files say it."""
    found = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        blocks = re.split(r"^(?=rule )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for block in blocks[1:]:
            found[re.match(r"rule (\w+)", block)[1]] = "gpu=GPU" in block or "gpu=needs_device" in block
    return found


def test_no_rule_inherits_from_another():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        assert "use rule" not in path.read_text(encoding="utf-8"), path.name


def test_the_slurm_profile_asks_for_a_device_where_rules_do():
    named = read_yaml("profiles/slurm/profile.yaml")["set-resources"]
    rules = rules_with_devices()
    assert {name for name, resources in named.items() if "gpu" in resources} == {
        name for name, asks in rules.items() if asks
    }
    assert len(rules) > 10


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*/profile.yaml")), ids=lambda path: path.parent.name)
def test_every_setting_of_a_profile_is_explained(path):
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    for block in blocks:
        assert block.startswith("#"), f"{path}: {block.splitlines()[0]} has no comment above it"


def test_marks_that_the_documentation_names_are_those_of_pytest():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for mark in settings["markers"]:
        assert f"| `{mark.split(':')[0]}` |" in contributing


@pytest.fixture(scope="module")
def demo():
    return read_yaml("config/demo.yaml")


@pytest.fixture(scope="module")
def small_demo():
    return read_yaml(".ci/demo-small.yaml")


def test_the_demonstration_with_more_seeds_is_the_demonstration(demo):
    seeds = read_yaml("config/demo-seeds.yaml")
    assert len(seeds["seeds"]) >= 3
    different = {"study", "label", "seeds"}
    assert {key: value for key, value in seeds.items() if key not in different} == {
        key: value for key, value in demo.items() if key not in different
    }


@pytest.mark.parametrize("section", ["seeds", "archives", "training", "generation", "evaluation", "claims"])
def test_the_small_demonstration_runs_as_the_demonstration_does(demo, small_demo, section):
    assert small_demo[section] == demo[section]


def test_the_small_demonstration_is_a_part_of_the_demonstration(demo, small_demo):
    assert small_demo.keys() == demo.keys()
    for name, model in small_demo["models"].items():
        assert {**model, "taught": model["taught"] | {"epochs": 0}} == {
            **demo["models"][name],
            "taught": demo["models"][name]["taught"] | {"epochs": 0},
        }
    assert small_demo["arms"].keys() == demo["arms"].keys()
    for name, arm in small_demo["arms"].items():
        assert arm["method"] == demo["arms"][name]["method"]
        assert set(arm.get("ratios", [])) <= set(demo["arms"][name].get("ratios", []))
    assert small_demo["domains"].items() <= demo["domains"].items()
    for name, task in small_demo["general"]["tasks"].items():
        assert {**task, "sample": 0} == {**demo["general"]["tasks"][name], "sample": 0}
        assert task["sample"] < demo["general"]["tasks"][name]["sample"]
    assert small_demo["general"]["text"]["source"] == demo["general"]["text"]["source"]


def test_continuous_integration_runs_the_parts_of_its_script():
    """They run side by side on GitHub and one after the other by .ci/run, by the same targets of make."""
    matrix = read_yaml(".github/workflows/ci.yml")["jobs"]["ci"]["strategy"]["matrix"]
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    called = re.findall(r"^ *make ([\w-]+)$", script, re.MULTILINE)
    assert sorted(["setup", *matrix["part"]]) == sorted(called)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(called) <= set(targets)


@pytest.mark.parametrize("form", ["bug", "method-or-result", "question"])
def test_forms_of_issues_have_what_github_asks_for(form):
    issue = read_yaml(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert issue["name"]
    assert issue["description"]
    for part in issue["body"]:
        assert part["type"] in {"textarea", "input", "dropdown", "checkboxes", "markdown"}
        assert part["id"]
        assert part["attributes"]["label"]


def test_options_of_slurm_that_pages_name_are_those_of_the_plugin():
    from snakemake_executor_plugin_slurm import ExecutorSettings

    known = {field.name.replace("_", "-") for field in dataclasses.fields(ExecutorSettings)}
    page = (ROOT / "docs/clusters.md").read_text(encoding="utf-8")
    named = set(re.findall(r"--slurm-([a-z-]+)|`slurm-([a-z-]+):", page))
    named = {one or other for one, other in named}
    assert {"requeue", "no-requeue", "array-jobs", "array-limit", "status-command"} <= named
    assert named <= known
