"""The models that the probe is tested on."""

from tests.probing.conftest import examples, llama, with_adapter  # noqa: F401 - fixtures
