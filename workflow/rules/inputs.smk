# What rules take: inputs and parameters that depend on the study, and the items of the report.
import json

from snakemake.io import get_wildcard_names

from grads.evaluation.metrics.registry import find_metric
from grads.runtime.fingerprints import OUTSIDE, Fingerprints
from grads.study.contents import archive_contents, contents, own_files, task_files
from grads.training.needs import strategy_needs

FINGERPRINTS = Fingerprints(OUTSIDE)


# What comes from outside a study is known by its content: rules have its SHA-256 in the parameter `contents`, and its
# date means nothing. Another file re-runs what read the old one, whenever it was written, and `touch` re-runs nothing.


def archive_map(*sources):
    """Return the downloaded files that the given sources read, by the archives' names."""
    names = {source.archive for source in sources if hasattr(source, "archive")}
    return {name: str(archive_path(STUDY.archives[name].file)) for name in sorted(names)}


def archives_of(*sources):
    return [ancient(path) for path in archive_map(*sources).values()]


def own_paths(*sources):
    """Return the user's own files that the given sources read."""
    return [file for source in sources if source.kind == "file" for file in own_files(source.path)]


def files_of(*sources):
    """Return the user's own files, and what the hub gave, that the given sources read."""
    fetched = [hub_path(source) for source in sources if source.kind in ("hub", "harness")]
    return outside(own_paths(*sources)) + fetched


def outside(paths):
    return [ancient(str(path)) for path in paths]


def contents_of(*sources, files=()):
    """Return the SHA-256 of what the given sources read from outside, and of further files, by path."""
    try:
        own = contents([*own_paths(*sources), *files], FINGERPRINTS)
    except GradsError as error:
        refuse(error)
    return own | archive_contents(archive_map(*sources), STUDY.archives)


def task_paths():
    """Return the user's own task files, and what they refer to."""
    return sorted({file for task in STUDY.general.tasks.values() if task.yaml for file in task_files(task.yaml)})


def claim_paths():
    return [STUDY.claims] if isinstance(STUDY.claims, str) else []


def verdict_paths():
    return own_files(STUDY.evaluation.judged.path) if STUDY.evaluation.judged else []


def arm_files(wildcards):
    """Return the user's own files that the arm's method reads."""
    return list(arm_needs(STUDY, wildcards.arm).files)


def domain_settings(domain):
    """Return what shapes a domain's records; its title does where prompts are made with it."""
    unread = {"language"} if domain.source.kind == "glossary" else {"language", "title"}
    return domain.model_dump(exclude=unread)


def general_settings(general):
    """Return what shapes the items that measure forgetting, and not how they are asked, called or judged."""
    unread = {"title", "chance", "metric", "form"}
    tasks = {name: task.model_dump(exclude=unread) for name, task in general.tasks.items()}
    return {"tasks": tasks, "text": general.text.model_dump(exclude={"max_tokens"}), "seed": general.seed}


def records_of(wildcards):
    """Return the records that a signal store is of: training records, or what the end of its name says."""
    if wildcards.other == f"-{ANCHOR}":
        return PATHS.general("anchor.parquet")
    return PATHS.records(wildcards.domain, wildcards.other.removeprefix("-") or "train")


def of_adapter(wildcards):
    """Return whether the probe of untrained weights measures an adapter: only where an arm asks for its gradients."""
    return bool((FEATURES | {"adapter"}) & set(measures(STUDY, f"base{wildcards.other}", wildcards.model)))


def selection_input(wildcards):
    """Return the signal stores, the texts, and the other arms' selections, that the arm's method reads."""
    cell, needs = cell_of(wildcards), arm_needs(STUDY, wildcards.arm)
    models = {name: scorer_of(STUDY, cell.arm, name) or cell.model for name in ["tokens", *sorted(needs.stores)]}
    stores = {name: PATHS.store(model, cell.domain, store_folder(name, cell.seed)) for name, model in models.items()}
    if scorer := STUDY.arms[cell.arm].scorer:
        stores["scorer"] = PATHS.store(scorer, cell.domain, "tokens")
    texts = {f"texts_{split}": PATHS.records(cell.domain, split) for split in sorted(needs.texts)}
    others = references(STUDY, cell.arm, cell.ratio)
    selections = {f"arm_{other}": PATHS.selection(replace(cell, arm=other)) for other in others}
    return stores | texts | selections | {"records": PATHS.records(cell.domain, "train")}


def hub_source(path):
    """Return the source, as plain data, whose repository is fetched to a path."""
    entries = [*STUDY.every_model.values(), *STUDY.domains.values(), STUDY.general.instructions]
    sources = [entry.source for entry in entries if entry]
    return next(settings(source) for source in sources if source.kind == "hub" and str(hub_path(source)) == path)


def task_source(path):
    """Return the source, as plain data, of the benchmark whose data is fetched to a path."""
    sources = [task.data for task in STUDY.general.tasks.values() if task.data.kind == "harness"]
    return next(settings(source) for source in sources if str(hub_path(source)) == path)


def training_input(wildcards):
    """Return what the arm's strategy reads, and the preliminary epoch's weights where training goes on from them."""
    cell, needs = cell_of(wildcards), strategy_needs(STUDY, wildcards.arm)
    found = {name: PATHS.store(cell.model, cell.domain, store_folder(name, cell.seed)) for name in sorted(needs.stores)}
    if needs.replay:
        found["replay"] = PATHS.general("replay.parquet")
    if STUDY.arms[cell.arm].start == "warm":
        found["start"] = PATHS.run(warm_cell(cell.model, cell.domain, cell.seed)) / "adapter"
    return found


def base_of(wildcards):
    """Return what an adapter names as its model: the source in the config, or the prepared folder where that is none.

    A path stays as it is written there, so that equal studies in two places write equal adapters.
    """
    source = STUDY.every_model[wildcards.model].source
    if source.kind == "hub":
        return {"name": source.id, "revision": source.revision}
    return {"name": source.path if source.kind == "file" else str(PATHS.model(wildcards.model))}


def arm_key(key):
    return lambda wildcards: getattr(STUDY.arms[wildcards.arm], key)


def task_settings(task):
    """Return what running a task takes; a benchmark that lm-eval knows by name draws few-shot examples, say."""
    if task.yaml:
        # Of the templates and the Python in a task file.
        trusted = {"allow_code": True} if STUDY.general.allow_code else {}
        return settings(task, "metric", "form", "group") | trusted
    seeded = {"seed": STUDY.general.seed, "allow_code": STUDY.general.allow_code}
    return settings(task, "metric", "form", "group", "few_shot") | seeded


def metrics_wordnet(domain):
    """Return WordNet where a metric reads it in a domain's language."""
    language = STUDY.domains[domain].language
    return WORDNET if any(find_metric(name).needs_wordnet(language) for name in STUDY.evaluation.metrics) else []


def serialised(content):
    """Return a part of the config as JSON in which nothing ends a script of the report's page, which shows it."""
    return json.dumps(content, default=str).replace("<", "\\u003c")


def in_page(text):
    """Return a text as a label of the report, in whose page nothing may end a script."""
    return text.replace("<", "\u2039")


def shown(path, category, label, caption=None):
    """Return a file of the study as an item of the report; its caption is that of its own name if none is given."""
    path = PATHS.root / path
    return report(path, caption=f"../report/{caption or path.stem}.rst", category=category, labels={"show": label})


def check_braces():
    """Refuse files of arms whose path Snakemake would take for a pattern; those of the config's sources are checked."""
    for arm in STUDY.arms:
        for path in arm_needs(STUDY, arm).files:
            if get_wildcard_names(str(path)):
                refuse(f"arms.{arm}: the path {path} holds braces, which no path here may: rename the file")


check_braces()
