"""Whether what a study has made is still what was made: looked at before a run, at the price of a directory listing."""

from collections.abc import Sequence
from pathlib import Path

from grads.config.sources import Source
from grads.config.study import Study
from grads.runtime.damage import artefact_damage, damage_below
from grads.runtime.errors import GradsError
from grads.runtime.fingerprints import OUTSIDE, Fingerprints
from grads.runtime.manifest import Damage
from grads.study.contents import source_files
from grads.study.paths import WORDNET, Paths, archive_path, hub_path

# Folders of a study in which jobs read what other jobs have made; what is only looked at lies in LOOKED_AT.
READ = ("data", "general", "models", "encoders", "signals", "selections", "runs")
LOOKED_AT = ("tables", "figures", "pages")
SHOWN = 3


def damaged(study: Study) -> list[Damage]:
    """Return what is wrong with the artefacts of a study, those that it shares with others included.

    Stamps are compared with the manifests'; only files whose stamps differ are read, and remembered in the study's
    folder. What is not there is not damaged: Snakemake makes it.
    """
    root = Paths(study.study).root
    made = Fingerprints(root / ".fingerprints.json")
    found = [damage for name in (*READ, *LOOKED_AT) for damage in _below(root / name, made, name in READ)]
    found += damage_below(root, made, strict=False, deep=False) if root.is_dir() else []
    made.save()
    # Where a prepared model is a link to somebody's own file it changes with that, whose content re-runs its rule.
    own = set(map(_identity, _own_models(study)))
    found = [damage for damage in found if not damage.path.is_file() or _identity(damage.path) not in own]
    outside = Fingerprints(OUTSIDE)
    found += [damage for path in _shared(study) if (damage := artefact_damage(path, outside))]
    found += _damaged_archives(study, outside)
    outside.save()
    return found


def _below(folder: Path, fingerprints: Fingerprints, strict: bool) -> list[Damage]:
    return list(damage_below(folder, fingerprints, strict)) if folder.is_dir() else []


def _own_models(study: Study) -> list[Path]:
    """Return the files of somebody's own that models and encoders are read from, as far as they are there."""
    sources: list[Source] = [model.source for model in study.every_model.values()]
    sources += [encoder.source for encoder in study.encoders.values()]
    return [file for source in sources for file in source_files(source) if file.is_file()]


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _shared(study: Study) -> list[Path]:
    """Return what is fetched or installed once for all studies, as far as it is there."""
    found = [hub_path(source) for source in study.sources.values() if source.fetched]
    found += [WORDNET] if study.evaluation.wordnet else []
    return [path for path in dict.fromkeys(found) if path.exists()]


def _damaged_archives(study: Study, fingerprints: Fingerprints) -> list[Damage]:
    found = []
    for archive in study.every_archive.values():
        path = archive_path(archive.file)
        if path.is_file() and (sha256 := fingerprints.sha256(path)) != archive.sha256:
            reason = f"has SHA-256 {sha256}, and 'archives' in the config asks for {archive.sha256}"
            found.append(Damage(path, reason, path))
    return found


def damage_sentence(found: Sequence[Damage]) -> str:
    """Return one sentence for all damage of a study, with the first few places."""
    if len(found) == 1:
        return str(found[0])
    named = "; ".join(f"{damage.path} {damage.reason}" for damage in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more, which `grads status` lists" if len(found) > SHOWN else ""
    artefacts = list(dict.fromkeys(str(damage.artefact) for damage in found[:SHOWN]))
    rest = " and the others" if len(found) > SHOWN else ""
    return f"{len(found)} artefacts are damaged: {named}{more}: delete {', '.join(artefacts)}{rest} and run again"


def refuse_damaged(study: Study) -> None:
    """Refuse to go on from damaged artefacts.

    Raises:
        GradsError: there are some; the sentence names the first few, and what to delete.
    """
    if found := damaged(study):
        raise GradsError(damage_sentence(found))
