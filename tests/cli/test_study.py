import re
from pathlib import Path

import pytest
import yaml

from grads.cli import study as commands
from grads.cli.study import chosen_cells
from grads.runtime.errors import GradsError
from grads.runtime.locks import lock_study, study_holder
from grads.selection.registry import methods
from grads.signals.names import known_measures
from grads.study.reading import read_study

SMOKE = "config/smoke.yaml"


def test_check_prints_the_grid_in_one_screen(grads):
    printed = grads("check", "config/demo-large.yaml").stdout
    assert len(printed.splitlines()) <= 24
    assert re.search(r"grads +grads +0.05 0.5 +base warm +6", printed)
    assert "30, of which 27 are trained" in printed
    assert "medicine, law, finance" in printed
    claims = yaml.safe_load(Path("config/claims/grads.yaml").read_text(encoding="utf-8"))
    assert f"claims   {len(claims)}, of which {len(claims)} are about this study" in printed


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("method: grads,", "method: gradss,", "mine.yaml: arms.grads.method: .*did you mean 'grads'"),
        ("openbookqa.yaml", "openbooqa.yaml", "mine.yaml: 'general.tasks.products.yaml': .*'openbookqa.yaml'"),
        ("{method: full}", "{method: full, ratios: [0.5]}", "method 'full' has ratio 1 only: remove the list"),
    ],
)
def test_check_refuses_in_one_sentence(grads, tmp_path, old, new, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(Path(SMOKE).read_text().replace(old, new))
    result = grads("check", path, status=2)
    assert re.search(sentence, result.stderr)
    assert result.stderr.count("\n") == 1


def test_check_shows_how_an_arm_is_trained(grads, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    path, arm = tmp_path / "mine.yaml", "method: random, ratios: ["
    changed = f"strategy: stm, strategy_parameters: {{threshold: 5.0}}, match: steps, {arm}"
    path.write_text(Path(SMOKE).read_text().replace(arm, changed))
    printed = " ".join(grads("check", path).stdout.split())
    for word in ("stm", "threshold=5.0", "match=steps"):
        assert word in printed


def test_list_names_what_there_is(grads):
    from grads.selection.registry import methods

    listed = grads("list", "methods").stdout
    assert all(re.search(rf"^{name} ", listed, re.M) for name in methods())
    # A method that reads further records, an arm or a file says so.
    assert re.search(r"^dsir +DSIR +- +V *$", listed, re.M)
    assert re.search(r"^subset +Given subset +- +a file *$", listed, re.M)
    from grads.training.strategies.registry import strategies

    assert all(re.search(rf"^{name} ", grads("list", "strategies").stdout, re.M) for name in strategies())
    assert re.search(r"tiny +Tiny random llama +tiny +chat", grads("list", "models", "--config", SMOKE).stdout)
    assert "config/smoke/sums.jsonl" in grads("list", "domains", "--config", SMOKE).stdout
    assert re.search(r"products +Products +acc +plain +10 +0.5", grads("list", "tasks", "--config", SMOKE).stdout)
    signals = grads("list", "signals").stdout
    assert all(re.search(rf"^{name} ", signals, re.M) for name in known_measures())
    assert re.search(r"^hidden +vectors: hidden ", signals, re.M)
    assert re.search(r"^gradients +embedding_l2", signals, re.M)
    assert "did you mean 'domains'" in grads("list", "domain", status=2).stderr


def test_cells_are_chosen_by_any_of_their_parts():
    study = read_study(SMOKE)
    chosen = chosen_cells(study, {"arm": ["grads", "random"], "domain": ["sums"], "seed": None})
    assert [str(cell) for cell in chosen] == ["tiny/sums/random/0.5/0", "tiny/sums/grads/0.5/0"]
    with pytest.raises(GradsError, match=r"--arm grad: study 'smoke' has no such arm: did you mean 'grads'"):
        chosen_cells(study, {"arm": ["grad"]})
    with pytest.raises(GradsError, match=r"no cell of study 'smoke' fits --arm full --ratio 0.5"):
        chosen_cells(study, {"arm": ["full"], "ratio": ["0.5"]})


def test_run_hands_the_chosen_cells_to_snakemake(grads, monkeypatch):
    called = []
    monkeypatch.setattr(commands.os, "execv", lambda _program, command: called.extend(command[1:]))
    grads("run", SMOKE, "--arm", "grads", "--domain", "sums", "--", "--dry-run", "--cores", "1")
    target = "results/smoke/runs/tiny/sums/grads/0.5/0/metrics.json"
    assert called == ["-m", "snakemake", target, "--configfile", SMOKE, "--dry-run", "--cores", "1"]


@pytest.fixture
def run(grads, monkeypatch):
    """Return what `grads run` hands to Snakemake."""

    def call(*arguments):
        called = []
        monkeypatch.setattr(commands.os, "execv", lambda _program, command: called.extend(command[3:]))
        grads("run", *arguments)
        return called

    return call


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ([], ["--configfile", SMOKE]),
        (["--cores", "2", "-p"], ["--configfile", SMOKE, "--cores", "2", "-p"]),
        (["-n"], ["--configfile", SMOKE, "--dry-run"]),
        (["partial", "--cores=1"], ["partial", "--configfile", SMOKE, "--cores=1"]),
        (["--report", "x.html"], ["--configfile", SMOKE, "--report", "x.html"]),
        (["--workflow-profile", "profiles/slurm"], ["--configfile", SMOKE, "--workflow-profile", "profiles/slurm"]),
    ],
)
def test_run_runs_the_whole_study_and_hands_other_options_on(run, given, handed):
    assert run(SMOKE, *given) == handed


def test_run_finds_the_workflow_and_what_comes_with_it_from_any_folder(run, tmp_path, monkeypatch):
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    # Of a workflow of somebody's own.
    (tmp_path / "Snakefile").touch()
    handed = run(SMOKE, "--workflow-profile", "profiles/slurm")
    assert handed == [
        *("--snakefile", str(root / "Snakefile"), "--configfile", str(root / SMOKE)),
        *("--workflow-profile", str(root / "profiles/slurm")),
    ]
    assert run(SMOKE, "--workflow-profile", "mine")[-2:] == ["--workflow-profile", "mine"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--cores", "2", SMOKE], "run --cores: the config comes first"),
        ([SMOKE, "--arms", "grads"], "run --arms: did you mean '--arm'"),
        ([SMOKE, "--configfile", "other.yaml"], "run --configfile: one config is run"),
        (["none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_run_refuses_what_would_be_misread(grads, given, sentence):
    assert sentence in grads("run", *given, status=2).stderr


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder to work in, with the results of the smoke study, one checkpoint and one table."""
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(root / "config")
    for name in ("scratch/train/checkpoint", "tables/domain.csv"):
        path = tmp_path / "results" / "smoke" / name
        path.parent.mkdir(parents=True)
        path.write_text("x")
    return tmp_path / "results" / "smoke"


def test_clean_removes_what_it_says(grads, results):
    assert "removed results/smoke/scratch" in grads("clean", SMOKE, "--yes").stdout
    assert (results / "tables" / "domain.csv").is_file()
    assert "nothing to remove" in grads("clean", SMOKE, "--yes").stdout
    grads("clean", SMOKE, "--all", status=1)  # The question is not answered.
    assert results.is_dir()
    grads("clean", SMOKE, "--all", "--yes")
    assert not results.exists()
    assert results.parent.is_dir()


def test_clean_leaves_a_study_that_runs(grads, results, monkeypatch):
    monkeypatch.setattr("grads.runtime.locks._held", held := [])
    lock_study(results)
    assert study_holder(results).pid == commands.os.getpid()
    assert "works on this study" in grads("clean", SMOKE, "--all", "--yes", status=2).stderr
    assert results.is_dir()
    held.pop().close()
    assert study_holder(results) is None


def test_brackets_are_text_in_what_check_and_list_print(grads, tmp_path):
    config = yaml.safe_load(Path("config/smoke.yaml").read_text("utf-8"))
    config["label"] = "a [/x] b [draft] c"
    config["models"]["tiny"]["title"] = "[red]Tiny[/y]"
    config["domains"]["sums"]["title"] = "Sums [/z]"
    config["general"]["tasks"]["products"]["title"] = "[Products"
    config["arms"]["meta"] = {"method": "metadata", "ratios": ["0.5"], "parameters": {"field": "[/w]"}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    said = grads("check", path)
    assert "a [/x] b [draft] c" in said.output
    assert "field=[/w]" in said.output
    for what, title in (("models", "[red]Tiny[/y]"), ("domains", "Sums [/z]"), ("tasks", "[Products")):
        assert title in grads("list", what, "--config", path).output


def test_the_list_of_methods_has_a_line_each_that_fits_a_terminal(grads, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = grads("list", "methods").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for name in methods():
        assert sum(line.split(" ")[0] == name for line in lines) == 1
    assert len(lines) <= len(methods()) + 6
    (less,) = (line for line in lines if line.startswith("less "))
    assert less.split()[-1] == "V"


def test_one_method_or_strategy_is_described_with_its_parameters(grads):
    said = grads("list", "methods", "grads").stdout
    for key, field in methods()["grads"].parameters.model_fields.items():
        assert f"--parameter {key}=" in said
        assert field.description.split(" ")[0] in said
    assert "grads select --validation FILE" in grads("list", "methods", "rds_plus").stdout
    assert "threshold" in grads("list", "strategies", "stm").stdout
    assert "did you mean 'grads'" in grads("list", "methods", "gradss", status=2).stderr
    assert "only methods and strategies" in grads("list", "metrics", "bleu", status=2).stderr
