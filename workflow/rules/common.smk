# What all rules share: the study, its graph of jobs, and the names that wildcards may take.
import sys
from functools import lru_cache

from grads.graph import resources
from grads.graph.needs import check_study
from grads.graph.study import StudyGraph
from grads.report.captions import in_report
from grads.report.registry import FIGURES, TABLES
from grads.runtime.errors import GradsError
from grads.runtime.group import in_group
from grads.runtime.locks import local_devices
from grads.runtime.progress import say, say_error
from grads.runtime.supervisor import name_runner
from grads.study.artefacts import refuse_damaged
from grads.study.grid import Cell
from grads.study.reading import parse_study
from grads.config.yaml_file import read_yaml
from grads.study.paths import OTHERS, WORDNET, Paths, archive_path, documents_path, warm_cell

# Jobs end when the process that starts them does, which is this one.
name_runner()


def refuse(error):
    """Stop with a sentence alone: of an exception, Snakemake would print lines of the workflow, too."""
    say_error(error)
    sys.exit(2)


try:
    for file in workflow.configfiles:
        read_yaml(file)
    STUDY = parse_study(config)
    check_study(STUDY)
    # Jobs ask for what they need there: this machine, or what GRADS_DEVICE names.
    DEVICE = resources.planned_device()
    resources.check_fits(STUDY, DEVICE)
    # Jobs, whose processes read these files as well, check what each of them reads.
    if workflow.is_main_process:
        refuse_damaged(STUDY)
except GradsError as error:
    refuse(error)

# Which jobs there are, what each reads and what shapes it: a rule is called as a method of the graph, with the names
# of the rule's wildcards.
GRAPH = StudyGraph(STUDY, config)
# Captions read in the config what it may leave out.
config.update({key: GRAPH.config[key] for key in GRAPH.config.keys() - config.keys()})
if workflow.is_main_process and GRAPH.defaults:
    say(GRAPH.defaults)
CELLS = GRAPH.cells
PATHS = Paths(STUDY.study)
BENCHMARKS = PATHS.root / "benchmarks"
# The pattern of any cell, for rules with wildcards.
CELL = Cell("{model}", "{domain}", "{arm}", "{ratio}", "{seed}")
# Jobs ask for one device where there are some; the profile says how many jobs may hold one at a time.
GPU = min(1, local_devices())
# A signal store is made whole, or in shards that are joined.
SHARDS = STUDY.probe.shards
# What a shard's files have after their name.
SHARD = "" if SHARDS == 1 else ".{shard}"
# The report's words of tables and figures, as files, which Snakemake reads.
CAPTIONS = Path(".snakemake/captions").absolute()


def any_of(names):
    """Return a pattern of some names, which matches nothing where there are none."""
    return "|".join(sorted(names)) or "(?!)"


wildcard_constraints:
    model="|".join(STUDY.every_model),
    domain="|".join(STUDY.domains),
    arm="|".join(STUDY.arms),
    ratio="|".join(sorted({cell.ratio for cell in CELLS})).replace(".", r"\."),
    seed="|".join(str(seed) for seed in sorted({0, *STUDY.seeds})),
    encoder=any_of(STUDY.encoders),
    # Follows a store's name: nothing for training records.
    other="|".join(["", *OTHERS]),
    shard=r"\d+",
    target="|".join(STUDY.domains),


def job_of(rule, wildcards):
    """Return the job that a rule and its wildcards stand for."""
    try:
        return GRAPH.job(rule, dict(wildcards.items()))
    except GradsError as error:
        refuse(error)


def inputs_of(rule):
    """Return, as a function of the wildcards, what a rule's job reads.

    What comes from outside the study is known by its content, which the parameter `job` has: its date means nothing.
    Another file runs again what read the old one, whenever it was written, and `touch` runs nothing again.
    """

    def inputs(wildcards):
        # A job of a group that fails stops no other. Snakemake does not tell a node whether the run is to keep going, and
        # its settings are there only once all rules were read.
        if in_group():
            workflow.execution_settings.keep_going = True
        job = job_of(rule, wildcards)
        given = {name: [ancient(str(path)) for path in paths] for name, paths in job.given.items()}
        return given | {name: [str(path) for path in paths] for name, paths in job.read.items()}

    return inputs


def settings_of(rule):
    """Return, as a function of the wildcards, all that shapes what a rule's job makes: another value runs it again.

    One parameter for all settings, as Snakemake takes most of the time of a large study's dry run to ask for each.
    """
    return lambda wildcards: job_of(rule, wildcards).settings


def asks(rule, what):
    """Return, as a function of the wildcards and the attempt, what a rule's job asks for: see `grads.graph.resources`."""

    def asked(wildcards, attempt):
        named = dict(wildcards.items())
        # Nothing changes in a dry run, where all seeds are answered as one.
        if workflow.dryrun and "seed" in named:
            named["seed"] = str(STUDY.seeds[0])
        return getattr(needs_of(rule, tuple(named.items()), attempt), what)

    return asked


@lru_cache(maxsize=None if workflow.dryrun else 1)
def needs_of(rule, wildcards, attempt):
    """Return what a rule's job needs. Of one job, whose resources are asked for in a row: files may say more later."""
    try:
        return resources.resources_of(STUDY, rule, dict(wildcards), attempt, DEVICE)
    except GradsError as error:
        refuse(error)


def memory(rule):
    return asks(rule, "memory_mb")


def minutes(rule):
    return asks(rule, "minutes")


def needs_device(rule):
    """Return how many devices a rule's job asks for: one where there are some and it computes on one."""
    return (lambda wildcards: int(job_of(rule, wildcards).needs_device)) if GPU else 0


def token_budget(wildcards, attempt):
    """Return the most tokens of a batch; each retry halves them, in case the job was killed for its memory."""
    return resources.token_budget(STUDY, attempt)


def micro_batch(wildcards, attempt):
    """Return the most records of one pass; each retry halves them, and the global batch stays as it is.

    A run that has a checkpoint goes on with its own, see `grads.training.checkpoints`.
    """
    arm = wildcards.get("arm", "warm")
    cell = Cell(wildcards.model, wildcards.domain, arm, wildcards.get("ratio", "1"), int(wildcards.seed))
    try:
        return resources.micro_batch(STUDY, cell, attempt, DEVICE)
    except GradsError as error:
        refuse(error)


def teaching_batch(wildcards, attempt):
    """Return the same of the run that teaches a model its skill."""
    try:
        return resources.teaching_batch(STUDY, wildcards.model, attempt, DEVICE)
    except GradsError as error:
        refuse(error)


def probed(store):
    """Return a probe's output: the store, or one of its shards, which goes when they are joined."""
    if SHARDS == 1:
        return directory(PATHS.store("{model}", "{domain}", store))
    return temp(directory(PATHS.shard("{model}", "{domain}", store, "{shard}")))


def made(rule, field):
    """Return the files that a rule without wildcards makes, by a field of its job."""
    return GRAPH.job(rule, {}).made[field]


def shown(rule, field, registry):
    """Return tables or figures that a rule makes as items of the report, with what their own files say of them."""
    items = []
    for path in made(rule, field):
        items.append(report(path, **in_report(registry.find(path.stem), CAPTIONS)))
    return items


def page_items():
    """Return the pages as items of the report, in whose page no title may end a script."""
    (path,) = made("pages", "overview")
    items = [report(path, caption="../report/overview.rst", category="Overview", labels={"show": "Overview"})]
    for path in made("pages", "pages"):
        labels = {"show": STUDY.domains[path.stem].title.replace("<", "\u2039")}
        items.append(report(path, caption="../report/page.rst", category="Domains", labels=labels))
    (path,) = made("pages", "provenance")
    labels = {"show": "Config and manifest"}
    items.append(report(path, caption="../report/provenance.rst", category="Provenance", labels=labels))
    return items
