"""`hub`: a model of the Hugging Face hub, fetched once as a folder of safetensors."""

from pathlib import Path

from grads.config.kinds import ModelKind
from grads.config.sources import HubSource


def fetch(source: HubSource, folder: Path) -> None:
    """Fetch the folder, with the commit that it is of."""
    from grads.data.sources.hub import fetch_model

    fetch_model(source, folder)


def prepare(_source: HubSource, folder: Path | None, out: Path, weights: bool) -> None:
    """Link and copy what was fetched."""
    from grads.models.prepare import place_checkpoint

    assert folder is not None
    place_checkpoint(folder, out, weights=weights)


SOURCE = ModelKind(section=HubSource, prepare=prepare, fetch=fetch, order=30)
