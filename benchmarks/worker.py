"""The process of one contestant in the project's environment: `python -m benchmarks.worker SETTINGS`."""

from typing import Any

from benchmarks.protocol import Contestant, Settings, serve


class Prepared:
    """A contestant from a function of the examples."""

    def __init__(self, settings: Settings) -> None:
        import torch

        from benchmarks.catalogue import maker

        torch.set_num_threads(settings.threads)
        self.function = maker(settings.name)(settings)

    def prepare(self, rows: list[dict[str, Any]]) -> None:
        """Keep the examples."""
        from benchmarks.examples import read_items

        self.examples = read_items(rows)

    def run(self) -> None:
        """Go over all examples once."""
        self.function(self.examples)


def _make(settings: Settings) -> Contestant:
    return Prepared(settings)


if __name__ == "__main__":
    from grads.runtime.libraries import settle_libraries
    from grads.runtime.process import die_with_parent

    die_with_parent()
    settle_libraries()
    serve(_make)
