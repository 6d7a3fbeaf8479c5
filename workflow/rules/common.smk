# What all rules share: the study, its paths and cells, and the names that wildcards may take.
import sys
from dataclasses import replace

from grads.selection.needs import arm_method, arm_needs, needs_moments, references, scorer_of
from grads.selection.registry import module_of
from grads.graph.needs import arm_stores, check_study, measures
from grads.runtime.errors import GradsError
from grads.runtime.locks import local_devices
from grads.runtime.progress import say_error
from grads.runtime.supervisor import name_runner
from grads.study.artefacts import refuse_damaged
from grads.study.code import code_version
from grads.study.grid import Cell, cells, cross_domains
from grads.study.load import parse_study
from grads.signals.names import FEATURES
from grads.study.paths import ANCHOR, OTHERS, WORDNET, Paths, archive_path, hub_path, store_folder, warm_cell
from grads.study.seeds import derive_seed
from grads.config.yaml_file import read_yaml

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
    # Jobs, whose processes read these files as well, check what each of them reads.
    if workflow.is_main_process:
        refuse_damaged(STUDY)
except GradsError as error:
    refuse(error)

CELLS = cells(STUDY)
PATHS = Paths(STUDY.study)
# The pattern of any cell, for rules with wildcards.
CELL = Cell("{model}", "{domain}", "{arm}", "{ratio}", "{seed}")
# Jobs ask for one device where there are some; the profile says how many jobs may hold one at a time.
GPU = min(1, local_devices())
# A signal store is made whole, or in shards that are joined.
SHARDS = STUDY.probe.shards


wildcard_constraints:
    model="|".join(STUDY.every_model),
    domain="|".join(STUDY.domains),
    arm="|".join(STUDY.arms),
    ratio="|".join(sorted({cell.ratio for cell in CELLS})).replace(".", r"\."),
    seed="|".join(str(seed) for seed in sorted({0, *STUDY.seeds})),
    task="|".join(STUDY.general.tasks) or "none",
    split="train|validation|test",
    encoder="|".join(STUDY.encoders) or "none",
    # Follows a store's name: nothing for training records.
    other="|".join(["", *OTHERS]),
    shard=r"\d+",


def cell_of(wildcards):
    return Cell(wildcards.model, wildcards.domain, wildcards.arm, wildcards.ratio, int(wildcards.seed))


def version_of(script, *modules):
    """Return the version of a rule's script and of the modules that shape what it makes: another re-runs the rule."""
    return code_version(*modules, script=workflow.source_path(f"../scripts/{script}.py"))


def seed_for(purpose):
    return lambda wildcards: derive_seed(int(wildcards.seed), wildcards.model, wildcards.domain, purpose)


def settings(section, *keys):
    """Return a part of the config as plain data, for `params`: what changes it re-runs the rule."""
    return section.model_dump(include=set(keys) if keys else None)


def probe_settings(store, model):
    """Return the probe's settings, those of features only where an arm asks the store for some, the machine's never."""
    unread = set() if FEATURES & set(measures(STUDY, store, model)) else {"features"}
    return STUDY.probe.model_dump(exclude=unread | {"token_budget", "shards", "trajectory"})


def token_budget(wildcards, attempt):
    """Return the most tokens of a batch; each retry halves them, in case the job was killed for its memory."""
    return max(1, STUDY.probe.token_budget // 2 ** (attempt - 1))


def micro_batch(wildcards, attempt):
    """Return the most records of one pass; each retry halves them, and the global batch stays as it is.

    A run that has a checkpoint goes on with its own, see `grads.training.checkpoints`.
    """
    return max(1, 8 // 2 ** (attempt - 1))


def probed(store):
    """Return a probe's output: the store, or one of its shards, which goes when they are joined."""
    if SHARDS == 1:
        return directory(PATHS.store("{model}", "{domain}", store))
    return temp(directory(PATHS.shard("{model}", "{domain}", store, "{shard}")))


def moments(cell):
    """Return the file of what Adam remembers at the end of a preliminary epoch; none where no arm measures by it."""
    return PATHS.run(cell) / "moments.safetensors" if needs_moments(STUDY) else []


def model_format(wildcards):
    return settings(STUDY.every_model[wildcards.model].format)
