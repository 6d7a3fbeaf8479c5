"""Models, encoders and GGUF files are loaded whole or refused, in one sentence that names what is wrong."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizerFast,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from grads.cli.main import app
from grads.config.models import Format
from grads.config.sources import FileSource, HubSource
from grads.data.records.formatting import Formatter
from grads.models.checkpoint import INDEX, SINGLE
from grads.models.load import load_encoder, load_model, load_tokenizer
from grads.models.prepare import prepare_model
from grads.models.prepare_encoder import prepare_encoder
from grads.runtime.errors import GradsError

NORM, UP = "model.norm.weight", "model.layers.1.mlp.up_proj.weight"
IDS = torch.tensor([[40, 41, 42, 43]])


def tensors(change):
    """Return a fault: the folder's tensors after `change(tensors)`, which returns them or works in place."""

    def fault(folder):
        stored = load_file(folder / SINGLE)
        changed = change(stored)
        save_file(stored if changed is None else changed, folder / SINGLE, {"format": "pt"})

    return fault


def config(**values):
    """Return a fault: other values in config.json."""

    def fault(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return fault


def file(name, content):
    """Return a fault: a file's content, or none of it."""

    def fault(folder):
        if content is None:
            (folder / name).unlink()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_bytes(content((folder / name).read_bytes()))

    return fault


def both(*faults):
    return lambda folder: [fault(folder) for fault in faults]


def lose(*names):
    return tensors(lambda stored: {name: value for name, value in stored.items() if name not in names})


def replace(name, value):
    return tensors(lambda stored: stored | {name: value(stored[name])})


def renamed(rule):
    return tensors(lambda stored: {rule(name): value for name, value in stored.items()})


def another_layer(stored):
    """Return the tensors with those of layer 1 once more, as layer 2."""
    return stored | {
        name.replace("layers.1", "layers.2"): t.clone() for name, t in stored.items() if "layers.1" in name
    }


def spoilt(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[-1] = value
        return tensor

    return change


def quantised(method, **more):
    return config(quantization_config={"quant_method": method, "bits": 4, **more})


def sharded(change=lambda folder, index: None):
    """Return a fault of two shards and their index: `change(folder, index)` works on them."""

    def fault(folder):
        stored = load_file(folder / SINGLE)
        (folder / SINGLE).unlink()
        names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
        place = {name: names[name.startswith("model.layers.1")] for name in stored}
        for file in names:
            save_file({n: t for n, t in stored.items() if place[n] == file}, folder / file, {"format": "pt"})
        index = {"metadata": {"total_size": 1}, "weight_map": place}
        written = change(folder, index)
        (folder / INDEX).write_text(json.dumps(index) if written is None else written)

    return fault


def moved(name, to):
    """Return a change of an index: a tensor is said to be in another file."""
    return lambda folder, index: index["weight_map"].update({name: to}) or None


def of_shards(change):
    """Return a change of the second shard's file."""

    def harm(folder, index):
        path = folder / "model-00002-of-00002.safetensors"
        change(path)

    return sharded(harm)


# What is done to a tiny model (2 layers, width 32, 259 tokens, untied), and what its refusal names.
WEIGHTS = {
    "no head": (lose("lm_head.weight"), "lacks lm_head.weight"),
    "one tensor missing": (lose(UP), f"lacks {UP}"),
    "five tensors missing": (tensors(lambda s: dict(list(s.items())[5:])), "and 2 more"),
    "another prefix": (renamed(lambda name: f"base.{name}"), "lacks lm_head.weight, .* holds base.lm_head.weight"),
    "compiled": (renamed(lambda name: f"_orig_mod.{name}"), "holds _orig_mod.lm_head.weight"),
    "one renamed": (renamed(lambda name: name.replace("up_proj", "w3")), "lacks .*up_proj.* holds .*w3"),
    "one too many": (tensors(lambda s: s | {"score.weight": torch.ones(2, 32)}), "holds score.weight"),
    "a bias too many": (tensors(lambda s: s | {UP.replace("weight", "bias"): torch.ones(64)}), "up_proj.bias"),
    "a layer too many": (tensors(another_layer), "holds model.layers.2.*and 6 more"),
    "a layer too few": (config(num_hidden_layers=3), "lacks model.layers.2.*and 6 more"),
    "a million layers": (config(num_hidden_layers=1_000_000), "num_hidden_layers 1,000,000"),
    "a layer that the config leaves out": (config(num_hidden_layers=1), "holds model.layers.1"),
    "one of another size": (replace(NORM, lambda t: torch.ones(7)), r"model.norm.weight \(7 for 32\)"),
    "one transposed": (replace(UP, lambda t: t.T.contiguous()), r"up_proj.weight \(32 x 64 for 64 x 32\)"),
    "another width": (config(hidden_size=64, head_dim=16), r"\(259 x 32 for 259 x 64\)"),
    "another vocabulary": (config(vocab_size=300), r"lm_head.weight \(259 x 32 for 300 x 32\)"),
    "fewer key-value heads": (config(num_key_value_heads=2), r"k_proj.weight \(32 x 32 for 16 x 32\)"),
    "heads that do not divide": (config(num_attention_heads=5), "config.json .*heads"),
    "no heads": (config(num_attention_heads=0), "config.json"),
    "text for a number": (config(hidden_size="wide"), "config.json .*hidden_size"),
    "a negative size": (config(hidden_size=-4), "config.json"),
    "an unknown activation": (config(hidden_act="none_such"), "config.json .*none_such"),
    "a padding id beyond the tokens": (config(pad_token_id=999), "config.json"),
    "an unknown rope": (config(rope_parameters={"rope_type": "none_such"}), "config.json .*none_such"),
    "another architecture": (config(model_type="gpt2"), "config.json|lacks"),
    "a family without a language model": (config(model_type="vit"), "model_type 'vit'"),
    "no family": (config(model_type=None), "model_type 'None'"),
    "a list for a family": (config(model_type=["llama"]), "model_type"),
    "weights by another name": (config(transformers_weights="../model.safetensors"), "transformers_weights"),
    "int8": (replace(NORM, lambda t: t.to(torch.int8)), r"model.norm.weight \(I8\)"),
    "uint8": (replace(UP, lambda t: t.to(torch.uint8)), r"up_proj.weight \(U8\)"),
    "int64 without the prefix": (
        both(renamed(lambda name: name.removeprefix("model.")), replace("norm.weight", lambda t: t.long())),
        r"norm.weight \(I64\)",
    ),
    "bool": (replace("lm_head.weight", lambda t: t > 0), r"lm_head.weight \(BOOL\)"),
    "8-bit floats": (replace(UP, lambda t: t.to(torch.float8_e4m3fn)), r"up_proj.weight \(F8_E4M3\)"),
    "an unknown quantisation of int8": (
        both(quantised("none_such"), replace(UP, lambda t: t.to(torch.int8))),
        r"up_proj.weight \(I8\)",
    ),
    "NaN": (replace(UP, spoilt(float("nan"))), f"NaN or infinity in {UP}"),
    "infinity": (replace("lm_head.weight", spoilt(float("-inf"))), "NaN or infinity in lm_head.weight"),
    "infinity in bf16": (replace(NORM, lambda t: spoilt(float("inf"))(t.bfloat16())), f"infinity in {NORM}"),
    "gptq": (quantised("gptq"), "quantised.*quantization_config"),
    "awq": (quantised("awq"), "quantised.*quantization_config"),
    "bitsandbytes": (quantised("bitsandbytes", load_in_8bit=True), "quantised.*quantization_config"),
    "compressed tensors": (quantised("compressed-tensors"), "quantised.*quantization_config"),
    "a quantisation without a name": (quantised(None), "quantised.*quantization_config"),
    "an empty file": (file(SINGLE, b""), "model.safetensors is no whole safetensors file"),
    "no tensors": (tensors(lambda s: {}), "lacks lm_head.weight, .* and 18 more"),
    "cut in its tensors": (file(SINGLE, lambda content: content[:-1000]), "model.safetensors is no whole"),
    "cut in its header": (file(SINGLE, lambda content: content[:300]), "model.safetensors is no whole"),
    "longer than it says": (file(SINGLE, lambda content: content + b"more"), "model.safetensors is no whole"),
    "another kind of file": (file(SINGLE, b"PK\3\4 a zip"), "model.safetensors is no whole"),
    "no weights": (file(SINGLE, None), "holds no weights"),
    "a pickle": (both(file(SINGLE, None), file("pytorch_model.bin", b"no")), r"pickle \(pytorch_model.bin\)"),
    "safetensors of another name": (
        lambda folder: (folder / SINGLE).rename(folder / "consolidated.safetensors"),
        "consolidated.safetensors, but neither",
    ),
    "an adapter": (both(file(SINGLE, None), file("adapter_config.json", b"{}")), "holds an adapter"),
    "an adapter with it": (file("adapter_config.json", b"{}"), r"adapter \(adapter_config.json\)"),
    "no config": (file("config.json", None), "has no config.json"),
    "a cut config": (file("config.json", lambda content: content[:50]), "config.json is not a JSON object"),
    "a config in another encoding": (file("config.json", b"\xff\xfe{\0}\0"), "config.json is not a JSON object"),
    "a deep config": (file("config.json", b"[" * 100_000), "config.json is not a JSON object"),
    "a list for a config": (file("config.json", b"[]"), "config.json is not a JSON object"),
    "a shard missing": (of_shards(lambda path: path.unlink()), "lacks model-00002-of-00002.safetensors"),
    "a shard cut": (of_shards(lambda path: path.write_bytes(path.read_bytes()[:-9])), "model-00002.* is no whole"),
    "a tensor that its shard lacks": (sharded(moved(NORM, "model-00002-of-00002.safetensors")), f"{NORM}.*do not hold"),
    "a tensor that no shard has": (sharded(moved("new.weight", "model-00001-of-00002.safetensors")), "new.weight"),
    "a tensor in two shards": (
        of_shards(lambda path: save_file(load_file(path) | {NORM: torch.ones(32)}, path, {"format": "pt"})),
        f"{NORM} in two files",
    ),
    "a shard outside": (sharded(moved(NORM, "../tiny/model.safetensors")), r"'\.\./tiny/model\.safetensors'"),
    "a shard anywhere": (sharded(moved(NORM, "/etc/model.safetensors")), "'/etc/model.safetensors'"),
    "a pickle for a shard": (sharded(moved(NORM, "model.bin")), "'model.bin'"),
    "a number for a shard": (sharded(moved(NORM, 5)), f"{INDEX}.*5"),
    "an index of nothing": (
        sharded(lambda folder, index: '{"metadata": {}, "weight_map": {}}'),
        f"{INDEX}.*weight_map",
    ),
    "an index without metadata": (sharded(lambda folder, index: index.pop("metadata") and None), f"{INDEX}.*metadata"),
    "a cut index": (sharded(lambda folder, index: '{"metadata"'), f"{INDEX} is not a JSON object"),
    "a list for an index": (sharded(lambda folder, index: "[]"), f"{INDEX} is not a JSON object"),
}


def more_tokens(count):
    def fault(folder):
        tokenizer = load_tokenizer(folder)
        tokenizer.add_tokens([f"<extra {number}>" for number in range(count)])
        tokenizer.save_pretrained(folder)

    return fault


def special_beyond(folder):
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    tokenizer.save_pretrained(folder)


# What is done to the tokenizer of a model, and what the refusal names.
TOKENIZERS = {
    "one token too many": (more_tokens(1), r"ids 259 \('<extra 0>'\) beyond the 259"),
    "many tokens too many": (more_tokens(40), "beyond the 259.*|and 37 more"),
    "a begin beyond the embedding": (special_beyond, r"259 \('<begin>'\)"),
    "no tokenizer": (
        both(file("tokenizer.json", None), file("tokenizer_config.json", None)),
        "holds no tokenizer that can be read",
    ),
    "a cut tokenizer": (file("tokenizer.json", lambda content: content[:200]), "holds no tokenizer that can be read"),
    "an empty tokenizer": (file("tokenizer.json", b""), "holds no tokenizer that can be read"),
    "a list for a tokenizer": (file("tokenizer.json", b"[]"), "holds no tokenizer that can be read"),
    "a model for a tokenizer": (file("tokenizer.json", b'{"model": 5}'), "holds no tokenizer that can be read"),
    "a list for its config": (file("tokenizer_config.json", b"[]"), "holds no tokenizer that can be read"),
}


# Chat templates that do not render a conversation.
TEMPLATES = {
    "that raises": "{{ raise_exception('no such role') }}",
    "with a syntax error": "{% for message in messages %}",
    "with an undefined filter": "{{ messages | none_such }}",
    "of an undefined name": "{{ none_such.role }}",
    "that leaves the sandbox": "{{ messages.__class__.__mro__ }}",
    "without end": "{% for n in range(10 ** 9) %}{% endfor %}",
    "that divides by 0": "{{ 1 / 0 }}",
    "that adds a number to a text": "{{ messages[0]['content'] + 1 }}",
    "that reads beyond the turns": "{{ messages[7]['content'] }}",
    "for tools alone": {"tools": "{{ messages[0]['content'] }}"},
}


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_template_that_renders_nothing_is_refused(case, tiny_model_folder):
    tokenizer = load_tokenizer(tiny_model_folder)
    tokenizer.chat_template = TEMPLATES[case]
    with pytest.raises(GradsError, match=r"chat templates? .*(format\.template to 'plain'|format\.template_arguments)"):
        Formatter(tokenizer, Format())


@pytest.fixture
def damaged(tiny_model_folder, tmp_path):
    """Return a function that makes a damaged copy of the tiny model."""

    def call(fault):
        folder = tmp_path / "source" / "tiny"
        shutil.copytree(tiny_model_folder, folder)
        fault(folder)
        return folder

    return call


def refuse(call, folder, named):
    """Check that a call is refused by one sentence that names the folder and the fault."""
    with pytest.raises(GradsError) as caught:
        call()
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert re.search(named, sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 1200


def source(folder):
    return FileSource(kind="file", path=str(folder))


@pytest.mark.parametrize("case", [*WEIGHTS, *TOKENIZERS])
def test_a_damaged_model_is_not_prepared(case, damaged, tmp_path):
    fault, named = (WEIGHTS | TOKENIZERS)[case]
    folder = damaged(fault)
    refuse(lambda: prepare_model(source(folder), None, tmp_path / "out"), folder, named)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_damaged_model_is_not_loaded(case, damaged):
    fault, named = WEIGHTS[case]
    folder = damaged(fault)
    refuse(lambda: load_model(folder, "float32"), folder, named)


@pytest.mark.parametrize("case", ["no head", "another prefix", "int8", "NaN", "a shard missing", "one token too many"])
def test_a_damaged_model_of_the_hub_is_not_prepared(case, damaged, tmp_path):
    fault, named = (WEIGHTS | TOKENIZERS)[case]
    folder = damaged(fault)
    hub = HubSource(kind="hub", id="owner/name", revision="main")
    refuse(lambda: prepare_model(hub, folder, tmp_path / "out"), folder, named)
    assert not (tmp_path / "out").exists()


def test_experts_that_are_missing_are_noticed(tmp_path):
    sizes = {"vocab_size": 30, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads)).save_pretrained(tmp_path)
    stored = load_file(tmp_path / SINGLE)
    (lost, *_) = [name for name in stored if "experts.1.w1" in name]
    load_model(tmp_path, "float32")
    lose(lost)(tmp_path)
    with pytest.raises(GradsError, match=str(tmp_path)):
        load_model(tmp_path, "float32")


COMMANDS = {
    "probe": ("--point", "base", "--signals", "losses", "--dtype", "float32"),
    "select": ("--ratio", "0.5", "--method", "grand"),
    "train": (),
    "evaluate": (),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", ["no head", "another vocabulary", "gptq", "one token too many"])
def test_commands_stop_before_the_work(command, case, damaged, tmp_path):
    from typer.testing import CliRunner

    fault, named = (WEIGHTS | TOKENIZERS)[case]
    folder = damaged(fault)
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    data.write_text("".join(f'{{"instruction": "Say {n}.", "output": "It is {n}."}}\n' for n in range(8)))
    out = out.with_suffix(".jsonl") if command in ("select", "evaluate") else out
    arguments = [command, "--model", folder, "--data", data, "--out", out, *COMMANDS[command]]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert not isinstance(result.exception, GradsError)
    assert re.search(named, " ".join(result.output.split())), result.output
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "grads-work") == ["data.jsonl", "source"]
    assert not list((tmp_path / "grads-work").glob("model-*"))


# What must stay accepted.
def plain(folder):
    """Leave the model as it is."""


def old_buffers(folder):
    buffers = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(4) for n in range(2)}
    tensors(lambda stored: stored | buffers)(folder)


def as_type(kind):
    return tensors(lambda stored: {name: value.to(kind) for name, value in stored.items()})


SAME = {
    "as it is": plain,
    "buffers of older versions": old_buffers,
    "without the prefix": renamed(lambda name: name.removeprefix("model.")),
    "in shards": sharded(),
    "one shard in an index": lambda folder: (
        (folder / SINGLE).rename(folder / "weights.safetensors"),
        (folder / INDEX).write_text(
            json.dumps(
                {
                    "metadata": {},
                    "weight_map": dict.fromkeys(load_file(folder / "weights.safetensors"), "weights.safetensors"),
                }
            )
        ),
    ),
    "stored in float64": as_type(torch.float64),
    "with an index of another day": file(INDEX, b'{"weight_map": {"a": "absent.safetensors"}}'),
    "with weights that nobody reads": lambda folder: shutil.copyfile(
        folder / SINGLE, folder / "consolidated.safetensors"
    ),
    "with pickles and code": both(file("pytorch_model.bin", b"no"), file("modeling_own.py", b"1 / 0")),
}


@torch.no_grad()
def logits(folder, precision="float32"):
    return load_model(folder, precision)(IDS).logits


@pytest.mark.parametrize("case", SAME)
def test_a_whole_model_is_prepared_and_computes_the_same(case, damaged, tiny_model_folder, tmp_path):
    folder = damaged(SAME[case])
    prepare_model(source(folder), None, tmp_path / "out")
    assert torch.equal(logits(tmp_path / "out"), logits(tiny_model_folder))
    expected = {path.name for path in folder.iterdir()} - {"pytorch_model.bin", "modeling_own.py"}
    unread = {"consolidated.safetensors"} | ({INDEX} if (folder / SINGLE).exists() else set())
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected - unread


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_loaded(kind, damaged, tiny_model_folder, tmp_path):
    prepare_model(source(damaged(as_type(kind))), None, tmp_path / "out")
    stored = load_file(tmp_path / "out" / SINGLE)
    assert {value.dtype for value in stored.values()} == {kind}
    for precision in ("float32", "bf16"):
        torch.testing.assert_close(
            logits(tmp_path / "out", precision).float(), logits(tiny_model_folder), rtol=0.1, atol=0.1
        )


@pytest.mark.parametrize("head", [True, False])
def test_a_tied_head_may_be_stored_or_not(head, damaged, tmp_path):
    def tie(stored):
        embedding = stored["model.embed_tokens.weight"]
        rest = {name: value for name, value in stored.items() if name != "lm_head.weight"}
        return rest | ({"lm_head.weight": embedding.clone()} if head else {})

    folder = damaged(both(tensors(tie), config(tie_word_embeddings=True)))
    prepare_model(source(folder), None, tmp_path / "out")
    model = load_model(tmp_path / "out", "float32")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_causal_masks_of_older_versions_may_be_stored(tmp_path):
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 16}
    model = GPTNeoForCausalLM(GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]]))
    model.save_pretrained(tmp_path)
    mask, value = torch.ones(1, 1, 16, 16, dtype=torch.uint8), torch.tensor(-1e9)
    names = [f"transformer.h.{n}.attn.attention.{part}" for n in range(2) for part in ("bias", "masked_bias")]
    tensors(lambda s: s | {name: (value if "masked" in name else mask).clone() for name in names})(tmp_path)
    load_model(tmp_path, "float32")


def test_a_model_with_more_embeddings_than_tokens_is_prepared(damaged, tmp_path):
    def longer(stored):
        ends = ("lm_head.weight", "model.embed_tokens.weight")
        return stored | {name: torch.cat([stored[name], torch.zeros(5, 32)]) for name in ends}

    prepare_model(source(damaged(both(tensors(longer), config(vocab_size=264)))), None, tmp_path / "out")
    assert load_model(tmp_path / "out", "float32").config.vocab_size == 264


def test_weights_are_linked_and_a_source_that_is_replaced_changes_nothing(damaged, tmp_path):
    folder = damaged(plain)
    prepare_model(source(folder), None, tmp_path / "out")
    prepared, before = tmp_path / "out" / SINGLE, logits(tmp_path / "out")
    assert prepared.samefile(folder / SINGLE)
    assert not any(path.samefile(folder / path.name) for path in (tmp_path / "out").glob("*.json"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(2.0)
    model.save_pretrained(folder)
    assert not prepared.samefile(folder / SINGLE)
    assert torch.equal(logits(tmp_path / "out"), before)
    shutil.rmtree(folder)
    assert torch.equal(logits(tmp_path / "out"), before)


@pytest.mark.parametrize("case", ["no head", "another width", "a shard missing", "one token too many"])
def test_a_tokenizer_alone_is_of_a_whole_model(case, damaged, tmp_path):
    fault, named = (WEIGHTS | TOKENIZERS)[case]
    folder = damaged(fault)
    refuse(lambda: prepare_model(source(folder), None, tmp_path / "out", weights=False), folder, named)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_alone_is_that_of_the_model(tiny_model_folder, write_gguf, tmp_path):
    for path in (tiny_model_folder, write_gguf(tmp_path / "tiny.gguf")):
        prepare_model(source(path), None, tmp_path / "whole")
        prepare_model(source(path), None, tmp_path / "alone", weights=False)
        assert not list((tmp_path / "alone").glob("*.safetensors"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_loading_draws_no_random_numbers(tiny_model_folder):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    load_model(tiny_model_folder, "float32")
    assert torch.equal(torch.random.get_rng_state(), before)


# What is done to a GGUF file, and what its refusal names.
GGUF = {
    "a tensor missing": ({"lost": ["blk.0.ffn_up"]}, "lacks model.layers.0.mlp.up_proj.weight"),
    "the last norm missing": ({"lost": ["output_norm"]}, "lacks model.norm.weight"),
    "no embedding": ({"lost": ["token_embd"]}, "lacks model.embed_tokens.weight"),
    "a tensor too many": ({"added": ["blk.0.weird"]}, "holds blk.0.weird.weight"),
    "a tensor of another layer": ({"added": ["blk.1.attn_norm"]}, "holds blk.1.attn_norm.weight"),
    "a layer too few": ({"layers": 2}, "lacks model.layers.1"),
    "of another size": ({"sizes": {"blk.0.ffn_up": (96, 64)}}, r"up_proj.weight \(96 x 64 for 128 x 64\)"),
    "another vocabulary": ({"sizes": {"token_embd": (200, 64)}}, r"embed_tokens.weight \(200 x 64 for 260 x 64\)"),
    "tokens beyond the embedding": ({"more_tokens": 5}, r"\(260 x 64 for 265 x 64\)"),
    "NaN": ({"nan": "output_norm"}, "NaN or infinity in model.norm.weight"),
    "no width": ({"without": ["embedding_length"]}, "for 260 x 4096"),
    "no tokens": ({"without": ["token_list"]}, "cannot be read as a GGUF model"),
    "no merges": ({"without": ["token_merges"]}, "cannot be read as a GGUF model"),
    "no tokenizer": ({"without": ["tokenizer_model"]}, "cannot be read as a GGUF model"),
    "an unknown architecture": ({"architecture": "none_such"}, "none_such"),
    "another architecture": ({"architecture": "qwen2"}, "lacks model.layers.0.self_attn.k_proj.bias"),
}


@pytest.mark.parametrize("case", GGUF)
def test_a_damaged_gguf_is_not_prepared(case, write_gguf, tmp_path):
    options, named = GGUF[case]
    path = write_gguf(tmp_path / "bad.gguf", **options)
    refuse(lambda: prepare_model(source(path), None, tmp_path / "out"), path.name, named)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


@pytest.mark.parametrize("kept", [0, 3, 100, 3000, -5000, -1])
def test_a_cut_gguf_is_not_prepared(kept, write_gguf, tmp_path):
    path = write_gguf(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:kept])
    refuse(lambda: prepare_model(source(path), None, tmp_path / "out"), path.name, "cannot be read as a GGUF model")
    assert [path.name for path in tmp_path.iterdir()] == ["cut.gguf"]


def test_factors_of_positions_may_be_in_a_gguf_and_the_head_may_be_the_embedding(write_gguf, tmp_path):
    path = write_gguf(tmp_path / "tied.gguf", added=["rope_freqs"], lost=["output"])
    prepare_model(source(path), None, tmp_path / "out")
    model = load_model(tmp_path / "out", "float32")
    assert torch.equal(model.get_output_embeddings().weight, model.get_input_embeddings().weight)


def test_a_gguf_gets_no_token_that_it_has_not(write_gguf, tmp_path):
    prepare_model(source(write_gguf(tmp_path / "tiny.gguf")), None, tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out")
    assert len(tokenizer) == 260
    assert max(tokenizer("<|endoftext|>")["input_ids"]) < 260


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory):
    """A BERT of two layers and width 16 with its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    torch.manual_seed(0)
    BertModel(bert()).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "word"]
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    return folder


def bert(**more):
    sizes = {"vocab_size": 7, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    return BertConfig(**sizes | {"num_attention_heads": 2, "max_position_embeddings": 32} | more)


DENSE = "encoder.layer.1.output.dense.weight"
# What is done to an encoder, and what its refusal names.
ENCODERS = {
    "a tensor missing": (lose(DENSE), f"lacks {DENSE}"),
    "another prefix": (renamed(lambda name: f"auto_model.{name}"), "lacks embeddings"),
    "a layer too few": (config(num_hidden_layers=3), "lacks encoder.layer.2"),
    "a layer too many": (config(num_hidden_layers=1), "holds encoder.layer.1"),
    "another width": (config(hidden_size=32), "16 for 32|16 for 7 x 32"),
    "another vocabulary": (config(vocab_size=9), r"word_embeddings.weight \(7 x 16 for 9 x 16\)"),
    "int8": (replace(DENSE, lambda t: t.to(torch.int8)), r"dense.weight \(I8\)"),
    "NaN": (replace(DENSE, spoilt(float("nan"))), f"NaN or infinity in {DENSE}"),
    "text for a number": (config(hidden_size="wide"), "config.json .*hidden_size"),
    "quantised": (quantised("gptq"), "quantised.*quantization_config"),
    "cut": (file(SINGLE, lambda content: content[:-100]), "model.safetensors is no whole"),
    "a pickle": (both(file(SINGLE, None), file("pytorch_model.bin", b"no")), r"pickle \(pytorch_model.bin\)"),
    "no config": (file("config.json", None), "has no config.json"),
    "a cut config": (file("config.json", b"{"), "config.json is not a JSON object"),
    "no family": (config(model_type="own"), "model_type 'own'"),
    "no tokenizer": (file("tokenizer.json", b"[]"), "holds no tokenizer that can be read"),
    "a token too many": (more_tokens(1), r"7 \('<extra 0>'\) beyond the 7"),
}


@pytest.mark.parametrize("case", ENCODERS)
def test_a_damaged_encoder_is_not_prepared(case, tiny_encoder, tmp_path):
    fault, named = ENCODERS[case]
    shutil.copytree(tiny_encoder, tmp_path / "source")
    fault(tmp_path / "source")
    refuse(lambda: prepare_encoder(source(tmp_path / "source"), None, tmp_path / "out"), tmp_path / "source", named)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("case", ["a tensor missing", "int8", "NaN", "cut", "no config"])
def test_a_damaged_encoder_is_not_loaded(case, tiny_encoder, tmp_path):
    fault, named = ENCODERS[case]
    shutil.copytree(tiny_encoder, tmp_path / "source")
    fault(tmp_path / "source")
    refuse(lambda: load_encoder(tmp_path / "source", "float32"), tmp_path / "source", named)


def test_an_encoder_is_linked_and_may_have_a_head_and_no_pooling(tiny_encoder, tmp_path):
    shutil.copytree(tiny_encoder, tmp_path / "source")
    BertForMaskedLM(bert()).save_pretrained(tmp_path / "source")
    assert not any("pooler" in name for name in load_file(tmp_path / "source" / SINGLE))
    prepare_encoder(source(tmp_path / "source"), None, tmp_path / "out")
    assert (tmp_path / "out" / SINGLE).samefile(tmp_path / "source" / SINGLE)
    stored = load_file(tmp_path / "out" / SINGLE)
    loaded = load_encoder(tmp_path / "out", "float32").state_dict()
    assert torch.equal(loaded[DENSE], stored[f"bert.{DENSE}"])
