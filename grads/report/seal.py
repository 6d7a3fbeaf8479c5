"""Seals: what was settled before the results were known, and what has changed since.

A seal is written by `grads seal`. It holds a study's config, its claims, and the versions of the code that turns what
was measured into verdicts. The table of claims says when that was, whether cells had been evaluated by then, and what
is other than it was sealed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from grads.config.study import Study
from grads.report.metrics import metric_modules
from grads.runtime.errors import GradsError
from grads.runtime.files import digest, read_object, reading, write_json
from grads.runtime.manifest import manifest_of
from grads.study.claim_sentences import read_claims
from grads.study.code import module_versions
from grads.study.defaults import filled_in
from grads.study.grid import Cell, cells
from grads.study.paths import Paths

STATISTICS = ("grads.report.building.judging", "grads.report.measurements")
"""What turns what cells leave into verdicts."""
CONFIG = "grads.config."
"""Modules that say how a config is read: what they read is sealed itself."""
FORMAT = "%Y-%m-%dT%H:%M:%S%z"
DIGITS = 12
"""Of the number that stands for a seal, and of a module's version."""
SHOWN = 5
"""Changes that are named."""
NONE = (
    "No seal: nothing here says that config, claims and statistics were settled before cells were evaluated (`grads "
    "seal` does, before a run)."
)


@dataclass(frozen=True)
class Seal:
    """What was settled, and when.

    Attributes:
        sealed: when, in UTC.
        config: the config as it was written, without its label and its claims, and with the arms, seeds and splits that
            it leaves out.
        claims: the study's claims, wherever they were written.
        statistics: a hash of each module between what was measured and verdicts, those of the study's metrics included.
    """

    sealed: str
    config: dict[str, Any]
    claims: list[dict[str, Any]]
    statistics: dict[str, str]

    @property
    def number(self) -> str:
        """The digits that stand for the seal, to be kept where others can see their date."""
        return digest(asdict(self), DIGITS)

    @property
    def time(self) -> datetime:
        """When it was sealed."""
        return datetime.strptime(self.sealed, FORMAT)


def seal_of(study: Study) -> Seal:
    """Return the seal of a study as it is now.

    Raises:
        GradsError: the claims cannot be read.
    """
    versions = module_versions(*STATISTICS, *metric_modules(study))
    # What is compared counts where it is the default, too, which another version of grads may have changed.
    config = filled_in(study, study.model_dump(mode="json", exclude_unset=True))
    return Seal(
        datetime.now(UTC).strftime(FORMAT),
        {key: value for key, value in config.items() if key not in ("label", "claims")},
        [one.claim.model_dump(mode="json") for one in read_claims(study)],
        {name: versions[name][:DIGITS] for name in sorted(versions) if not name.startswith(CONFIG)},
    )


def read_seals(study: Study) -> list[Seal]:
    """Return the seals of a study, the first one first; none where it was never sealed.

    Raises:
        GradsError: the file is no file of seals, or was edited.
    """
    path = Paths(study.study).seal
    if not path.is_file():
        return []
    remedy = "delete it, and the study has no seal"
    content = read_object(path, remedy)
    seals = []
    with reading(path, remedy):
        for one in content["seals"]:
            fields = dict(one)
            number = fields.pop("number")
            seals.append(Seal(**fields))
            if seals[-1].number != number or not seals[-1].time:
                raise ValueError(f"seal {number} is not as it was written")
    return seals


def write_seals(study: Study, seals: Sequence[Seal]) -> Path:
    """Write the seals of a study, the first one first, and return where."""
    path = Paths(study.study).seal
    write_json(path, {"seals": [{"number": seal.number, **asdict(seal)} for seal in seals]})
    return path


def changes(seal: Seal, now: Seal) -> list[str]:
    """Return what is other than it was sealed, a phrase each for config, claims and code; none where nothing is."""
    keys = _changed_keys(seal.config, now.config)
    gone = [one["claim"] for one in seal.claims if one not in now.claims]
    new = [one["claim"] for one in now.claims if one not in seal.claims]
    claims = [f"claims (now other or gone: {_shown(gone)})"] * bool(gone) + [f"claims (new: {_shown(new)})"] * bool(new)
    modules = _changed_keys(seal.statistics, now.statistics)
    return [
        *[f"config ({_shown(keys)})"] * bool(keys),
        *claims,
        *[f"code of the statistics ({_shown(modules)})"] * bool(modules),
    ]


def _changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values differ, those of sections with a dot."""
    found: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key), after.get(key)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{key}.{inner}" for inner in _changed_keys(one, other)]
        else:
            found.append(key)
    return found


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def evaluated_before(study: Study, seal: Seal) -> list[Cell]:
    """Return the cells whose evaluation had begun when a study was sealed, by the manifests of what they left.

    Manifests and seals count whole seconds; a cell counts only where it surely began before.

    Raises:
        GradsError: a manifest is damaged.
    """
    return [cell for cell in cells(study) if any(began < seal.time for began in _began(study, cell))]


def _began(study: Study, cell: Cell) -> Iterator[datetime]:
    """Yield when, at the latest, the jobs began that made a cell's answers and its general results."""
    paths = Paths(study.study)
    general = paths.run(cell) / "general.json" if cell.trained else paths.untuned_general(cell.model)
    for path in (paths.run(cell) / "predictions.jsonl", general):
        manifest = manifest_of(path) if path.is_file() else None
        if manifest is not None:
            with reading(manifest.path):
                finished = datetime.strptime(manifest.content["finished"], FORMAT)
                yield finished - timedelta(seconds=float(manifest.content["seconds"]) - 1)


def seal_notes(study: Study) -> list[str]:
    """Return what a reader of verdicts should know of the study's seal.

    Raises:
        GradsError: the file of seals, or a manifest, is damaged.
    """
    seals = read_seals(study)
    if not seals:
        return [NONE]
    last = seals[-1]
    before = len(evaluated_before(study, last))
    number = len(cells(study))
    when = f"after {before} of {number} cells had begun to be evaluated" if before else "before any cell was evaluated"
    notes = [f"Sealed {last.sealed} as {last.number}, {when}."]
    if len(seals) > 1:
        notes.append(
            f"It is seal {len(seals)} of this study; the first is of {seals[0].sealed}, and what changed between them "
            f"was: {'; '.join(changes(seals[0], last)) or 'nothing'}."
        )
    if changed := changes(last, seal_of(study)):
        notes.append(f"Changed since it was sealed: {'; '.join(changed)}.")
    return notes


def seal_again(study: Study, again: bool) -> tuple[Seal, bool]:
    """Seal a study, and return its seal and whether it is new.

    Raises:
        GradsError: it was sealed otherwise, and `again` does not ask for another seal.
    """
    seals = read_seals(study)
    now = seal_of(study)
    changed = changes(seals[-1], now) if seals else []
    if seals and not changed:
        return seals[-1], False
    if seals and not again:
        raise GradsError(
            f"study '{study.study}' was sealed {seals[-1].sealed} as {seals[-1].number}, and has changed since: "
            f"{'; '.join(changed)}: take that back, or seal again by --again, which keeps the first seal in the file"
        )
    write_seals(study, [*seals, now])
    return now, True
