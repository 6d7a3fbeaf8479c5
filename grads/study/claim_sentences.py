"""Claims: sentences on how arms compare, such as a paper makes, which tables judge by what was measured.

`grads@0.05 beats full on bleu` compares a domain metric or a benchmark; `grads@0.5 forgets less than full on general`
compares what is left of general capability. Claims in the config itself are about this study, so a name that is not in
it is refused. Claims in a file are those of a paper, shared between studies: what a study lacks is listed as such.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from grads.config.claims import Claim
from grads.config.mistakes import sentences
from grads.config.ratios import canonical_ratio
from grads.config.study import Study
from grads.config.yaml_file import read_yaml
from grads.runtime.errors import GradsError, nearest
from grads.runtime.shipped import located
from grads.study.controls import AT_TEST_TIME
from grads.study.grid import arm_ratios

GENERAL = "general"
"""The mean accuracy over a study's general benchmarks."""
DRIFT = ("nll", "bits_per_byte", "kl")
"""Measures of drift on general text."""
BEATS = "beats"
FORGETS = "forgets less than"
FORMS = f"'<arm>@<ratio> {BEATS} <arm> on <measure>' or '<arm>@<ratio> {FORGETS} <arm> on <measure>'"
_SENTENCE = re.compile(rf"(\S+) ({BEATS}|{FORGETS}) (\S+) on (\S+)")


@dataclass(frozen=True)
class ParsedClaim:
    """A claim, taken apart: `run` and `base` as tables call them (`grads@0.05`, `full`)."""

    claim: Claim
    run: str
    verb: str
    base: str
    measure: str

    @property
    def sentence(self) -> str:
        """Return the claim in its plain form."""
        return f"{self.run} {self.verb} {self.base} on {self.measure}"

    @property
    def margin(self) -> float | None:
        """Return the size of a difference that would matter; none where neither it nor a published one is given."""
        if self.claim.margin is not None or not self.claim.published:
            return self.claim.margin
        return abs(self.claim.published) / 2


def read_claims(study: Study) -> list[ParsedClaim]:
    """Return the claims of a study, from its config or from the file that it names; none where it has none.

    Raises:
        GradsError: the file cannot be read, entries or sentences are wrong, or claims in the config name what is not in
            the study; all that is found.
    """
    if isinstance(study.claims, list):
        where = "claims."
        first = 0
        entries = study.claims
    else:
        where = f"{study.claims}: claim "
        first = 1
        entries = _read_entries(located(study.claims))
    claims: list[ParsedClaim] = []
    problems: list[str] = []
    for number, entry in enumerate(entries, first):
        place = f"{where}{number}"
        try:
            claims.append(parse_claim(entry, place))
        except GradsError as error:
            problems += error.sentences
            continue
        # A file is shared between studies: what one of them lacks is listed as such.
        if isinstance(study.claims, list) and (problem := _not_in_study(study, claims[-1])):
            problems.append(f"{place}: {problem}")
    if problems:
        raise GradsError(*problems)
    _refuse_twice(claims)
    return claims


def parse_claim(claim: Claim, where: str) -> ParsedClaim:
    """Take a sentence apart.

    Raises:
        GradsError: it is no sentence of the known forms, has no such ratio, or its measure does not go with its verb.
    """
    sentence = " ".join(claim.claim.split())
    found = _SENTENCE.fullmatch(sentence)
    if not found:
        raise GradsError(f"{where}: '{sentence}' is no claim: {_hint(sentence)}write {FORMS}")
    run, verb, base, measure = found.groups()
    if verb == BEATS and measure in DRIFT:
        raise GradsError(f"{where}: '{measure}' measures what is forgotten: write '{FORGETS}' instead of '{BEATS}'")
    titles = [_title(text, f"{where}: '{sentence}'") for text in (run, base)]
    if titles[0] == titles[1]:
        raise GradsError(f"{where}: '{sentence}' compares {run} with itself: name two runs")
    return ParsedClaim(claim, titles[0], verb, titles[1], measure)


def run_titles(study: Study) -> list[str]:
    """Return the runs of a study as claims and tables call them: `grads@0.05`, or `full` where the ratio is fixed."""
    return [arm if ratio in ("0", "1") else f"{arm}@{ratio}" for arm in study.arms for ratio in arm_ratios(study, arm)]


def in_study(study: Study, claim: ParsedClaim) -> bool:
    """Whether a study has both runs and the measure of a claim."""
    return _not_in_study(study, claim) is None


def _not_in_study(study: Study, claim: ParsedClaim) -> str | None:
    """Return what of a claim is not in a study, with the nearest name that is."""
    titles = run_titles(study)
    tasks = list(study.general.tasks)
    for run in (claim.run, claim.base):
        if run not in titles:
            return f"'{run}' is no run of this study: {nearest(run, titles)}"
        if study.arms[run.partition("@")[0]].strategy in AT_TEST_TIME:
            return f"'{run}' learns from the prompts of the test set and is compared with nothing: remove the claim"
    general = [*tasks, *([GENERAL] if tasks else [])]
    known = [*study.evaluation.metrics, *general] if claim.verb == BEATS else [*general, *DRIFT]
    if claim.measure not in known:
        return f"'{claim.measure}' is no measure of this study for '{claim.verb}': {nearest(claim.measure, known)}"
    return None


def _title(text: str, where: str) -> str:
    arm, at, ratio = text.partition("@")
    if not at:
        return arm
    try:
        return f"{arm}@{canonical_ratio(ratio)}"
    except ValueError as error:
        raise GradsError(f"{where}: {error}") from None


def _hint(sentence: str) -> str:
    """Return a hint where a word of the verb is nearly right."""
    words = sentence.split()
    places = {1: {BEATS, "forgets"}} | ({2: {"less"}, 3: {"than"}} if words[1:2] == ["forgets"] else {})
    for place, known in places.items():
        word = words[place] if place < len(words) else ""
        if word and word not in known:
            return f"'{word}': {nearest(word, known)} "
    return ""


def _read_entries(path: Path) -> list[Claim]:
    content = read_yaml(path)
    if not isinstance(content, list):
        raise GradsError(
            f"{path}: a file of claims is a list of entries such as '- claim: grads@0.1 beats full on bleu'"
        )
    claims: list[Claim] = []
    problems: list[str] = []
    for number, entry in enumerate(content, 1):
        try:
            claims.append(Claim.model_validate(entry))
        except ValidationError as error:
            said = sentences(error, Claim, entry, None)
            problems += [f"{path}: claim {number}: {one}; write {FORMS}" for one in said]
    if problems:
        raise GradsError(*problems)
    return claims


def _refuse_twice(claims: Sequence[ParsedClaim]) -> None:
    seen: set[tuple[str, ...]] = set()
    for one in claims:
        key = (one.run, one.verb, one.base, one.measure, one.claim.form)
        if key in seen:
            raise GradsError(f"the claim '{one.claim.claim}' is there twice in the form {one.claim.form}: remove one")
        seen.add(key)
