"""`hub`: records of a data set of the Hugging Face hub, fetched once as Parquet."""

from pathlib import Path

from grads.config.kinds import Reading, RecordKind, Rows
from grads.config.sources import HubDataSource


def fetch(source: HubDataSource, path: Path) -> None:
    """Fetch the split, and the commit that it is of."""
    from grads.data.sources.hub import fetch_data

    fetch_data(source, path)


def rows(source: HubDataSource, _reading: Reading) -> Rows:
    """Yield the rows of the split."""
    from grads.data.records.rows import read_rows
    from grads.study.paths import hub_path

    return read_rows(hub_path(source))


SOURCE = RecordKind(section=HubDataSource, rows=rows, fetch=fetch, order=30)
