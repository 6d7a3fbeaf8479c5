# What rules take: inputs and parameters that depend on the study, and the items of the report.
from grads.evaluate.metrics.registry import find_metric
from grads.train.plan import strategy_needs


def archives_of(*sources):
    """Return the downloaded files that the given sources read."""
    names = {source.archive for source in sources if hasattr(source, "archive")}
    return [archive_path(STUDY.archives[name].file) for name in sorted(names)]


def archive_map(*sources):
    names = {source.archive for source in sources if hasattr(source, "archive")}
    return {name: str(archive_path(STUDY.archives[name].file)) for name in sorted(names)}


def files_of(*sources):
    """Return the user's own files, and what the hub gave, that the given sources read."""
    own = [source.path for source in sources if source.kind == "file"]
    return own + [hub_path(source) for source in sources if source.kind in ("hub", "harness")]


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


def arm_key(key):
    return lambda wildcards: getattr(STUDY.arms[wildcards.arm], key)


def task_settings(task):
    """Return what running a task takes; a benchmark that lm-eval knows by name draws few-shot examples, say."""
    if task.yaml:
        return settings(task, "metric", "form")
    seeded = {"seed": STUDY.general.seed, "allow_code": STUDY.general.allow_code}
    return settings(task, "metric", "form", "few_shot") | seeded


def metrics_wordnet(domain):
    """Return WordNet where a metric reads it in a domain's language."""
    language = STUDY.domains[domain].language
    return WORDNET if any(find_metric(name).needs_wordnet(language) for name in STUDY.evaluation.metrics) else []


def shown(path, category, label, caption=None):
    """Return a file of the study as an item of the report; its caption is that of its own name if none is given."""
    path = PATHS.root / path
    return report(path, caption=f"../report/{caption or path.stem}.rst", category=category, labels={"show": label})
