"""The shards of a probe, made by several jobs, joined to one store."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from grads.runtime.errors import GradsError
from grads.runtime.files import reading
from grads.signals.blocks import Rows
from grads.signals.store import META, Store, read_store, write_parts


def join_shards(folders: Sequence[Path], out: Path) -> None:
    """Write one store of all shards of a probe, in the order of the records.

    It holds the very rows of the shards. They are those of a probe in one job, up to the rounding that other batches
    make, and to the last bit where the batches are the same, as with a token budget of one record.

    Args:
        folders: of the shards, in any order.
        out: folder of the store.

    Raises:
        GradsError: a shard is missing, or comes from another configuration, or no record is eligible.
    """
    stores = [read_store(folder) for folder in folders]
    for store in stores:
        with reading(store.folder / META):
            _number, _count = store.meta["shard"]
            _key = store.meta["key"]
    stores.sort(key=lambda store: store.meta["shard"])
    first = stores[0]
    count = stores[0].meta["shard"][1]
    for number, store in enumerate(stores):
        if store.meta["key"] != first.meta["key"] or store.meta["shard"] != [number, count]:
            raise _mixed(store)
    if len(stores) != count:
        raise _mixed(first)
    ids = [id_ for store in stores for id_ in store.signals["id"]]
    if not ids:
        raise GradsError(f"{out}: none of the records is eligible: raise training.max_length")
    write_parts(out, _parts(stores), ids, _meta([store.meta for store in stores]))


def _parts(stores: Sequence[Store]) -> Iterator[Rows]:
    return chain.from_iterable(store.parts() for store in stores)


def _mixed(store: Store) -> GradsError:
    return GradsError(
        f"{store.folder} is not a shard of the same probe as the others: delete the other shards and run again"
    )


def _meta(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined = {name: value for name, value in metas[0].items() if name not in ("shard", "records", "sha256")}
    for name in ("over_length", "truncated", "tokens", "flops", "seconds", "seconds_measuring"):
        joined[name] = round(sum(meta[name] for meta in metas), 3)
    for name in ("left_out", "deviations"):
        joined[name] = [value for meta in metas for value in meta[name]]
    kinds = metas[0]["peak_memory"]
    joined["peak_memory"] = {kind: max(meta["peak_memory"].get(kind, 0) for meta in metas) for kind in kinds}
    return joined | {"shards": len(metas)}
