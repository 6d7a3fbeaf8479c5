import json

import pytest
from transformers import AutoModelForCausalLM

from grads.config.models import Model
from grads.config.sources import FileSource, HubSource, TinySource
from grads.config.training import Adapter
from grads.models import size
from grads.models.adapter import fresh_adapter
from grads.models.size import model_size, read_gguf, read_size, size_of_config

from ..probing.conftest import build_model

MODELS = ["llama-tied", "llama-untied", "qwen2-tied", "qwen2-untied", "qwen3-untied", "mistral-untied", "gemma2-tied"]
MODELS += ["gemma3-tied", "gpt2-tied", "gpt2-untied", "gpt_neox-untied", "phi-untied"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a model by name, and the folder that it is saved in."""
    made = {}

    def saved(name):
        if name not in made:
            made[name] = (build_model(name), tmp_path_factory.mktemp(name))
            made[name][0].save_pretrained(made[name][1])
        return made[name]

    return saved


def counted(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_what_is_counted_from_files_is_what_transformers_counts(name, saved):
    model, folder = saved(name)
    found = read_size(folder)
    config = model.config.get_text_config()
    assert found.parameters == counted(model)
    assert found.embedding == model.get_input_embeddings().weight.numel()
    assert found.tied == (name.endswith("-tied"))
    assert found.layer == counted(next(part for part in model.modules() if type(part).__name__ == "ModuleList")[0])
    assert (found.layers, found.hidden, found.vocabulary, found.positions) == (2, 32, 97, 64)
    assert found.kv_heads == getattr(config, "num_key_value_heads", config.num_attention_heads)
    assert found.head_width == 8
    assert found.dtype == "F32"
    assert found.stored_bytes == 4 * found.parameters


@pytest.mark.parametrize("name", MODELS)
def test_a_config_alone_says_the_same(name, saved):
    _model, folder = saved(name)
    whole = read_size(folder)
    found = size_of_config(json.loads((folder / "config.json").read_text()))
    assert sorted(found.matrices, key=str) == sorted(whole.matrices, key=str)
    for field in ("parameters", "embedding", "layer", "tied", "stored_bytes", "intermediate", "vocabulary"):
        assert getattr(found, field) == getattr(whole, field), field


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], ["lm_head"]])
def test_an_adapter_has_as_many_weights_as_peft_gives_it(targets, tmp_path):
    model = build_model("qwen2-untied")
    model.save_pretrained(tmp_path)
    adapted = fresh_adapter(model, Adapter(rank=3, targets=targets), 0)
    own = sum(parameter.numel() for name, parameter in adapted.named_parameters() if "lora_" in name)
    assert own > 0
    assert read_size(tmp_path).adapter_parameters(3, targets) == own


def test_weights_in_shards_and_of_half_precision_are_added_up(tmp_path):
    import torch

    model = build_model("llama-untied")
    whole = counted(model)
    model.to(torch.bfloat16).save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    found = read_size(tmp_path)
    assert (found.parameters, found.stored_bytes, found.dtype) == (whole, 2 * whole, "BF16")


def test_a_tied_head_that_is_stored_all_the_same_counts_once(saved, tmp_path):
    from safetensors.torch import load_file, save_file

    model, folder = saved("llama-tied")
    tensors = load_file(folder / "model.safetensors")
    head = {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}
    masks = {"model.layers.0.self_attn.rotary_emb.inv_freq": tensors["model.norm.weight"][:4].clone()}
    save_file(tensors | head | masks, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    assert read_size(tmp_path).parameters == counted(model)


def test_a_gguf_says_by_its_header_what_the_prepared_model_has(write_gguf, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    from grads.models.prepare import prepare_model

    source = FileSource(kind="file", path=str(path))
    found = model_size(Model(title="tiny", source=source))
    prepare_model(source, None, tmp_path / "prepared")
    prepared = read_size(tmp_path / "prepared")
    assert (
        found.parameters == prepared.parameters == counted(AutoModelForCausalLM.from_pretrained(tmp_path / "prepared"))
    )
    assert sorted(found.matrices, key=str) == sorted(prepared.matrices, key=str)
    for field in (
        "embedding",
        "layers",
        "hidden",
        "intermediate",
        "kv_heads",
        "head_width",
        "positions",
        "stored_bytes",
    ):
        assert getattr(found, field) == getattr(prepared, field), field


def test_a_tiny_model_is_known_before_it_is_made(tiny_model_folder):
    source = TinySource(kind="tiny", seed=0)
    assert model_size(Model(title="tiny", source=source)) == read_size(tiny_model_folder)


def test_a_model_of_the_hub_is_unknown_until_it_is_fetched(tiny_model_folder, tmp_path, monkeypatch):
    folder = tmp_path / "fetched"
    monkeypatch.setattr(size, "hub_path", lambda source: folder)
    model = Model(title="tiny", source=HubSource(kind="hub", id="some/model", revision="main"))
    assert model_size(model) is None
    folder.mkdir()
    # Its config may be there alone.
    (folder / "config.json").write_bytes((tiny_model_folder / "config.json").read_bytes())
    assert model_size(model) == read_size(tiny_model_folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"), ("config.json", "[]"), ("config.json", '{"model_type": "llama"}'),
        ("config.json", '{"model_type": "new", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, '
        '"vocab_size": 9}'),
        ("model.safetensors", ""), ("model.safetensors", "no file of weights"),
    ],
)  # fmt: skip
def test_nothing_is_known_of_what_cannot_be_read(name, content, tiny_model_folder, tmp_path):
    if name != "config.json":
        (tmp_path / "config.json").write_bytes((tiny_model_folder / "config.json").read_bytes())
    (tmp_path / name).write_text(content)
    assert read_size(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04 and more", b"GGUF" + b"\xff" * 64])
def test_nothing_is_known_of_what_is_no_gguf(content, tmp_path):
    (tmp_path / "model.gguf").write_bytes(content)
    assert read_gguf(tmp_path / "model.gguf") is None


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
          "intermediate_size": 11008, "vocab_size": 32000}, 6_738_415_616),
        ({"model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
          "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064}, 7_615_616_512),
    ],
)  # fmt: skip
def test_published_models_have_the_parameters_that_are_published_of_them(config, parameters):
    found = size_of_config(config | {"torch_dtype": "bfloat16", "tie_word_embeddings": False})
    assert (found.parameters, found.stored_bytes) == (parameters, 2 * parameters)
