"""Published values: what number of a study each one stands next to."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from grads.config.claims import Publication
from grads.config.study import Study
from grads.runtime.errors import GradsError, check_all, nearest
from grads.study.claim_sentences import GENERAL, run_titles


class Place(NamedTuple):
    """What a published value is of; `run` as tables call it (`grads@0.05`)."""

    model: str
    domain: str
    run: str
    measure: str


def read_published(study: Study) -> dict[Place, Publication]:
    """Return the published values of a study by what they are of.

    Raises:
        GradsError: some name what is not in the study, leave open which model or domain they are of, or are of the same
            number; all that is found.
    """
    found: dict[Place, Publication] = {}

    def add(number: int, one: Publication) -> None:
        place = _place(study, number, one)
        if place in found:
            raise GradsError(
                f"'published.{number}': {one.run} has a published value of {one.measure} already: remove one"
            )
        found[place] = one

    check_all(partial(add, number, one) for number, one in enumerate(study.published))
    return found


def _place(study: Study, number: int, one: Publication) -> Place:
    where = f"'published.{number}"
    tasks = study.general.tasks
    measures = [*study.evaluation.metrics, *tasks, *([GENERAL] if tasks else [])]
    for key, known in (("run", run_titles(study)), ("measure", measures)):
        if (name := getattr(one, key)) not in known:
            raise GradsError(f"{where}.{key}': '{name}' is not in this study: {nearest(name, known)}")
    model = _only(one.model, study.models, f"{where}.model'")
    # The untuned model has one row of general tasks, whichever domain the others were tuned on.
    of_any = one.run == "untuned" and one.measure not in study.evaluation.metrics
    domain = next(iter(study.domains)) if of_any else _only(one.domain, study.domains, f"{where}.domain'")
    return Place(model, domain, one.run, one.measure)


def _only(name: str | None, entries: Mapping[str, object], where: str) -> str:
    """Return a key of the config's entries, or the only one where none is named."""
    if name is None and len(entries) > 1:
        raise GradsError(f"{where} is missing: the study has {', '.join(entries)}, name one of them")
    name = name or next(iter(entries))
    if name not in entries:
        raise GradsError(f"{where}: '{name}' is not in this study: {nearest(name, entries)}")
    return name
