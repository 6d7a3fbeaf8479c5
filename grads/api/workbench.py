"""What a command on somebody's own files has made in its work folder: what is there already is not made again."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from grads.api.checks import check_data, read_own_records
from grads.config.models import Format
from grads.graph.files import COMMIT, FileGraph, Request
from grads.models.job import FetchModel
from grads.runtime.errors import GradsError
from grads.runtime.files import read_object
from grads.runtime.libraries import settle_libraries
from grads.runtime.manifest import manifest_of, verified
from grads.runtime.process import die_with_parent
from grads.runtime.progress import say
from grads.runtime.runner import Machine, perform
from grads.study.code import PACKAGE
from grads.study.contents import contents, own_files
from grads.study.job import Job

AnyJob = TypeVar("AnyJob", bound=Job)


class Workbench:
    """The jobs of a command, and what has been made by them.

    Args:
        work: the work folder.
        request: the model, the data and the settings.
        template: `chat` or `plain`; the model's chat template where it has one, if not given.
        micro_batch: most records in one training pass.

    Raises:
        GradsError: the hub does not give the model, or it cannot be used.
    """

    def __init__(self, work: Path, request: Request, template: str | None, micro_batch: int) -> None:
        self.work = work
        self.request = request
        self.machine = Machine(micro_batch, request.probe.token_budget)
        self._whole: set[Path] = set()
        self.template = template
        self.graph = FileGraph(work, request, self._find_form)
        if fetch := self.graph.fetch_model():
            self._fetched(fetch)

    def on(self, request: Request) -> "Workbench":
        """Return a workbench in the same folder with another request, after its records have been looked at.

        Raises:
            GradsError: the records are not there, or a row holds no record.
        """
        check_data(request.data)
        read_own_records(request.data, request.fields, request.loss_turns, request.metadata, request.leave)
        return Workbench(self.work, request, self.template, self.machine.micro_batch)

    def with_others(self, others: Mapping[str, Path]) -> "Workbench":
        """Return the same with further records that methods may read: `validation`, `anchor`."""
        if not others:
            return self
        request = replace(self.request, others={**self.request.others, **others})
        bench = Workbench(self.work, request, self.template, self.machine.micro_batch)
        bench.graph.hold_as(self.graph)
        return bench

    def make(self, job: AnyJob) -> AnyJob:
        """Return a job when what it makes is there, after making it and all that it is made from.

        Raises:
            GradsError: something on the way is damaged, or cannot be made.
        """
        if self._is_whole(job):
            return job
        for earlier in self.graph.before(job)[:-1]:
            self.make(earlier)
        with _no_empty_folders(job):
            run = _perform_apart if job.hub else perform
            run(job, self.machine, self.work)
        self._whole.update(job.outputs)
        return job

    def _is_whole(self, job: Job) -> bool:
        """Return whether all that a job makes is there; what lost its manifest, or never got one, is not.

        Raises:
            GradsError: it is not what was made.
        """
        if self._whole.issuperset(job.outputs):
            return True
        if not all(path.exists() for path in job.outputs):
            return False
        for path in job.outputs:
            if manifest_of(path) is None:
                say(f"{path} has no manifest next to it, so that nobody knows whether it is whole: it is made again")
                return False
            verified(path, self.graph.fingerprints)
        self.graph.fingerprints.save()
        say(f"{job.rule}: there already, {job.outputs[0].parent}")
        self._whole.update(job.outputs)
        return True

    def _fetched(self, fetch: FetchModel) -> None:
        """Fetch the model as a study fetches it: once, at the commit found then."""
        try:
            if not self._is_whole(fetch):
                with _no_empty_folders(fetch):
                    _perform_apart(fetch, self.machine, self.work)
        except GradsError as error:
            raise GradsError(f"--model: there is no folder or file {fetch.source.shown}, and {error}") from None
        commit = read_object(fetch.folder / COMMIT)["commit"]
        asked = " at ".join(filter(None, (fetch.source.identity or {}).values()))
        say(f"{asked}: commit {commit}")

    def _find_form(self) -> Format:
        """Return the prompt's form: as asked, else the model's chat template, else the plain one."""
        from grads.data.records.formatting import Formatter
        from grads.models.load import load_tokenizer

        tokenizer = load_tokenizer(self.make(self.graph.prepare_model(weights=False)).folder)
        template = self.template or ("chat" if tokenizer.chat_template else "plain")
        form = Format.model_validate({"template": template})
        Formatter(tokenizer, form)
        return form

    @property
    def model(self) -> Path:
        """The prepared model."""
        return self.make(self.graph.prepare_model()).folder

    @property
    def records(self) -> Path:
        """The records, as they were read."""
        return self.make(self.graph.read_records()).records

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many records were read, empty and duplicate."""
        return read_object(self.make(self.graph.read_records()).counts)

    @property
    def eligible(self) -> int:
        """How many records fit the limit of length; a probe may still leave some out."""
        return int(read_object(self.store("tokens") / "meta.json")["records"])

    def store(self, name: str, measures: Collection[str] = ()) -> Path:
        """Return a signal store.

        Raises:
            GradsError: what is asked for cannot be measured here, or a stage cannot work with a file.
        """
        (store,) = self.make(self.graph.store(name, measures)).made["store"]
        return store

    def read_model(self, name: str, parameters: Mapping[str, Any], ratio: str) -> Path:
        """Return what a method reads of the model: its tokenizer, or all of it where anything is measured."""
        weights = self.graph.reads_weights(name, parameters, ratio)
        return self.make(self.graph.prepare_model(weights)).folder

    def described(self) -> dict[str, Any]:
        """Return all settings, for manifests."""
        request = self.request
        return {
            "model": self.graph.origin,
            "seed": request.seed,
            "micro_batch": self.machine.micro_batch,
            "fields": dict(request.fields),
            "loss_turns": request.loss_turns,
            "encoders": dict(request.encoders),
            "others": {name: str(path) for name, path in request.others.items()},
            "metadata": request.metadata,
            "limit": request.limit,
            "leave": request.leave,
            "format": self.graph.form.model_dump(),
            "training": request.training.model_dump(),
            "probe": request.probe.model_dump(),
        }

    def inputs(self, trained: Path | None = None, model: Path | None = None) -> dict[str, str]:
        """Return the SHA-256 of what a command reads, by path: of the model, the data and a trained model.

        `model` is the prepared model, or its tokenizer alone where nothing else of it is read.

        Call it before the work. The data are somebody's own, also where `grads select` wrote them first.

        Raises:
            GradsError: the trained model is not what `grads train` wrote.
        """
        model = model or self.model
        own = [file for path in (self.request.data, *self.request.others.values()) for file in own_files(path)]
        found = {str(model): verified(model), **contents(own, self.graph.fingerprints)}
        return found if trained is None else found | {str(trained): verified(trained)}


@contextlib.contextmanager
def _no_empty_folders(job: Job) -> Iterator[None]:
    """Take away the folder of a job that has failed, if nothing is in it."""
    try:
        yield
    except BaseException:
        for folder in {path.parent for path in job.outputs}:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _perform_apart(job: Job, machine: Machine, work: Path) -> None:
    """Run a job in a process of its own: libraries learn only once, when they are imported, whether there is a hub.

    The script or notebook that calls is not run again there, as `multiprocessing` would.
    """
    given = pickle.dumps((job, machine, work))
    command = [sys.executable, "-c", "from grads.api.workbench import perform_given; perform_given()"]
    # This very package, wherever Python's path found it.
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, env=environment)
    if done.returncode:
        raise GradsError(f"{job.rule} was killed: the same command carries on")
    refused: tuple[str, ...] = pickle.loads(done.stdout)
    if refused:
        raise GradsError(*refused)


def perform_given() -> None:
    """Run the job that standard input holds, with the hub switched on; write what it refused to standard output."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    settle_libraries(hub=True)
    job, machine, work = pickle.load(sys.stdin.buffer)
    refused: tuple[str, ...] = ()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            perform(job, machine, work)
    except GradsError as error:
        refused = error.sentences
    sys.stdout.buffer.write(pickle.dumps(refused))
