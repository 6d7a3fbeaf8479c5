"""`random`: a uniform draw without replacement. For one seed a smaller draw lies inside every larger one."""

from pydantic import Field

from grads.selection.contract import Choice, Inputs, Method, Needs, Parameters
from grads.study.seeds import shuffled_ids


class Random(Parameters):
    """Parameters of `random`."""

    reference: str = Field("grads", description="Arm whose number of records is drawn where the ratio is `auto`.")


def needs(parameters: Random) -> Needs:
    """Return the need of the reference's number of records."""
    return Needs(count_of=parameters.reference)


def select(inputs: Inputs, _parameters: Random) -> Choice:
    """Choose the first records of a seeded order in which each record's place depends on its id alone."""
    import numpy as np

    place = {id_: index for index, id_ in enumerate(shuffled_ids(inputs.pool["id"], inputs.seed))}
    return Choice(1.0 - np.array([place[id_] for id_ in inputs.pool["id"]], dtype=float) / len(place))


METHOD = Method(
    name="random", title="Random", source="control", select=select, parameters=Random, needs=needs, draws=True
)
