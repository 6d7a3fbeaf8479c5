"""`file`: records in a file or folder of your own."""

from grads.config.kinds import Reading, RecordKind, Rows
from grads.config.sources import FileSource


def rows(source: FileSource, _reading: Reading) -> Rows:
    """Yield the rows of the file, or of the folder's files."""
    from grads.data.records.rows import read_rows

    return read_rows(source.file)


SOURCE = RecordKind(section=FileSource, rows=rows, order=10)
