"""`pypi`: records in a file inside an archive of the package index."""

from grads.config.kinds import Reading, RecordKind, Rows
from grads.config.sources import ArchiveSource


def rows(source: ArchiveSource, reading: Reading) -> Rows:
    """Yield the rows of the member."""
    from grads.data.records.rows import read_member_rows

    return read_member_rows(reading.archive(source), source.member)


SOURCE = RecordKind(section=ArchiveSource, rows=rows, order=20)
