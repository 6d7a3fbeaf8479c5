"""`grads.probe`: the signals of one's own records; `grads.load_signals`: those that a folder holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from grads.api.arguments import in_python
from grads.api.checks import asked_signals, check_choice, check_signals
from grads.api.settings import Settings, bench_of
from grads.runtime.errors import GradsError

if TYPE_CHECKING:
    import pandas as pd

    from grads.api.given import Model, Records
    from grads.api.workbench import Workbench
    from grads.signals.store import Store
    from grads.signals.vectors import Vectors

POINTS = ("base", "warm", "during")
AT_BASE = ("hidden", "weighted_hidden", "layer_hidden", "embeddings", "losses", "prompt", "unconditional")
"""Signals that methods read of the untrained model, if nothing else is asked for; all others after the preliminary
epoch.
"""


@dataclass(frozen=True)
class Signals:
    """What was measured of some records: one store for each point.

    Attributes:
        bench: the model, the records and the settings that they were measured with.
        stores: signal stores by point: `base`, `warm`, `during`, and `tokens`, which says who is eligible.
    """

    bench: "Workbench"
    stores: "Mapping[str, Store]"

    @property
    def ids(self) -> list[str]:
        """Ids of the eligible records: hashes of their contents, the same wherever they are read."""
        return self.stores["tokens"].signals["id"].tolist()

    @property
    def points(self) -> list[str]:
        """Where something was measured."""
        return [point for point in self.stores if point != "tokens"]

    def frame(self, point: str | None = None) -> "pd.DataFrame":
        """Return a row for each record, `id`, its token counts and a column for each signal.

        Args:
            point: one of `points`; the only one, if not given.

        Raises:
            GradsError: nothing was measured there, or there are several points.
        """
        return self._store(point).signals

    def vectors(self, kind: str, point: str | None = None) -> "Vectors":
        """Return the vectors of one kind, N x d float32 where they are read: `np.asarray(signals.vectors("hidden"))`.

        Args:
            kind: such as `hidden` or `sgd_features`.
            point: where they were measured; the only point that has some, if not given.

        Raises:
            GradsError: there are none of this kind.
        """
        having = [name for name in self.points if kind in self.stores[name].features]
        if point is not None:
            having = [name for name in having if name == point]
        if len(having) != 1:
            where = (
                f"at the points {', '.join(having)}: name one" if having else "not there: measure them by grads.probe"
            )
            raise GradsError(f"vectors '{kind}' are {where}")
        return self.stores[having[0]].features[kind]

    def _store(self, point: str | None) -> "Store":
        if point is None and len(self.points) == 1:
            return self.stores[self.points[0]]
        check_choice(str(point), [*self.stores], "--point")
        return self.stores[str(point)]


@in_python
def probe(
    model: "Model",
    records: "Records",
    signals: Sequence[str] | Mapping[str, Sequence[str]] = ("gradients", "hidden"),
    *,
    point: str | None = None,
    **settings: Unpack[Settings],
) -> Signals:
    """Measure the signals of records that selection methods read, as `grads probe` does.

    What the work folder holds already is not measured again.

    Args:
        model: a `save_pretrained` folder, a .gguf file, `owner/name` of the hub, or a model of transformers.
        records: a file or folder, dicts, a data set of the datasets library, or a data frame.
        signals: names of signals (`grads list signals`), each measured where methods read it by default: states and
            losses of the untrained model (`base`), gradients after a preliminary epoch (`warm`). Or names by point,
            such as `{"base": ["hidden"], "warm": ["gradients", "el2n"]}`. With none of them, tokens are counted.
        point: `base`, `warm` or `during` (before each step of that epoch), for all of them.
        settings: see `Settings`.

    Returns:
        What was measured, for `select`.

    Raises:
        GradsError: model, records or a setting cannot be used.
    """
    asked = _by_point(signals, point)
    bench = bench_of(model, records, settings)
    for where, names in asked.items():
        check_signals(names, where, bench.request.training)
        bench.graph.hold(where, names)
    return measured(bench, {where: tuple(names) for where, names in asked.items()})


def measured(bench: "Workbench", asked: Mapping[str, Sequence[str]]) -> Signals:
    """Return signals by point after measuring them."""
    from grads.signals.store import read_store

    folders = {"tokens": bench.store("tokens")} | {point: bench.store(point, names) for point, names in asked.items()}
    return Signals(bench, {point: read_store(folder) for point, folder in folders.items()})


def _by_point(signals: Sequence[str] | Mapping[str, Sequence[str]], point: str | None) -> dict[str, list[str]]:
    """Return what is asked for at each point, every name of which there is."""
    if isinstance(signals, str):
        raise GradsError(f"signals: it is one text: write it as a list, ['{signals}']")
    if isinstance(signals, Mapping):
        if point is not None:
            raise GradsError("point: the signals are given by point already: remove it")
        by_point = {where: list(names) for where, names in signals.items()}
    else:
        by_point = {}
        for name in signals:
            by_point.setdefault(point or ("base" if name in AT_BASE else "warm"), []).append(name)
    for where in by_point:
        check_choice(where, POINTS, "--point")
    return {where: asked_signals(names, where) for where, names in by_point.items()}


@in_python
def load_signals(folder: str | Path) -> "Store":
    """Return the signal store in a folder: that `grads probe` wrote, or of a study's `results/<study>/signals`.

    Args:
        folder: it holds `signals.parquet` and `meta.json`.

    Returns:
        `signals`, a data frame with a row for each record; `features`, vectors by kind; and `meta`.

    Raises:
        GradsError: the folder holds no store, or a damaged one.
    """
    from grads.signals.store import read_store

    return read_store(Path(folder))
