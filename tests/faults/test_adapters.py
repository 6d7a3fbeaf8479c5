"""Adapters, trained weights and moments are opened whole or refused, in one sentence that names what is wrong."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from grads.cli.main import app
from grads.config.sources import TinySource
from grads.config.training import Adapter
from grads.models.adapter import fresh_adapter, trained_adapter
from grads.models.load import load_model
from grads.models.moments import check_moments, initial_moments, load_moments, write_moments
from grads.models.prepare import prepare_model
from grads.runtime.errors import GradsError

WEIGHTS, CONFIG, MODEL = "adapter_model.safetensors", "adapter_config.json", "model.safetensors"
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
IDS = torch.tensor([[40, 41, 42, 43]])


def tensors(change, name=WEIGHTS):
    def fault(folder):
        save_file(change(load_file(folder / name)), folder / name, {"format": "pt"})

    return fault


def config(name=CONFIG, **values):
    def fault(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return fault


def file(name, content):
    def fault(folder):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content((folder / name).read_bytes()) if callable(content) else content)

    return fault


def both(*faults):
    return lambda folder: [fault(folder) for fault in faults]


def half(stored):
    return {name: value for number, (name, value) in enumerate(sorted(stored.items())) if number % 2}


def renamed(old, new):
    return tensors(lambda stored: {name.replace(old, new): value for name, value in stored.items()})


def without(part):
    return tensors(lambda stored: {name: value for name, value in stored.items() if part not in name})


def spoilt(value):
    def change(stored):
        spoilt_one = stored[f"{LAYER}.lora_B.weight"].clone()
        spoilt_one[0, 0] = value
        return stored | {f"{LAYER}.lora_B.weight": spoilt_one}

    return tensors(change)


# What is done to an adapter of rank 2 on all linear layers of a tiny model, and what its refusal names.
ADAPTERS = {
    "half of the tensors": (tensors(half), f"{WEIGHTS} .*lacks .*lora_A.weight and 11 more"),
    "no B": (without("lora_B"), "lacks .*lora_B.weight and 11 more"),
    "a layer missing": (without("layers.1."), "lacks .*layers.1.* and 11 more"),
    "no tensors": (tensors(lambda stored: {}), "lacks .*and 25 more"),
    "compiled": (renamed("base_model.model", "base_model.model._orig_mod"), r"holds .*_orig_mod"),
    "an adapter's name in the keys": (renamed(".weight", ".default.weight"), "holds .*default.weight"),
    "without PEFT's prefix": (renamed("base_model.model.", ""), "holds model.layers.0"),
    "one too many": (
        tensors(lambda s: s | {"base_model.model.lm_head.lora_A.weight": torch.ones(2, 32)}),
        "holds base_model.model.lm_head.lora_A.weight",
    ),
    "of more layers": (
        tensors(lambda s: s | {n.replace("layers.1", "layers.2"): t.clone() for n, t in s.items() if "layers.1" in n}),
        "holds .*layers.2.*and 11 more",
    ),
    "another rank in the config": (config(r=4), r"lora_A.weight \(2 x 64 for 4 x 64\)"),
    "another rank of one layer": (config(rank_pattern={"q_proj": 3}), r"q_proj.lora_A.weight \(2 x 32 for 3 x 32\)"),
    "fewer targets": (config(target_modules=["q_proj"]), "holds .*down_proj.*and 21 more"),
    "other targets": (config(target_modules=["nowhere"]), f"{CONFIG} .*nowhere"),
    "targets that are no pattern": (config(target_modules="(("), f"{CONFIG} describes no adapter"),
    "targets that are numbers": (config(target_modules=[1, 2]), "target_modules"),
    "one transposed": (
        tensors(lambda s: s | {f"{LAYER}.lora_A.weight": s[f"{LAYER}.lora_A.weight"].T.contiguous()}),
        r"q_proj.lora_A.weight \(32 x 2 for 2 x 32\)",
    ),
    "NaN": (spoilt(float("nan")), f"NaN or infinity in {LAYER}.lora_B.weight"),
    "infinity": (spoilt(float("inf")), f"NaN or infinity in {LAYER}.lora_B.weight"),
    "int8": (tensors(lambda s: {n: t.to(torch.int8) for n, t in s.items()}), r"\(I8\) and 25 more"),
    "an empty file": (file(WEIGHTS, b""), f"{WEIGHTS} is no whole safetensors file"),
    "cut": (file(WEIGHTS, lambda content: content[:-100]), f"{WEIGHTS} is no whole safetensors file"),
    "cut in its header": (file(WEIGHTS, lambda content: content[:200]), f"{WEIGHTS} is no whole safetensors file"),
    "another kind of file": (file(WEIGHTS, b"PK\3\4 a zip"), f"{WEIGHTS} is no whole safetensors file"),
    "no weights": (file(WEIGHTS, None), f"give an adapter with {WEIGHTS}"),
    "a pickle": (both(file(WEIGHTS, None), file("adapter_model.bin", b"no")), "pickle .adapter_model.bin"),
    "a cut config": (file(CONFIG, lambda content: content[:40]), f"{CONFIG} is not a JSON object"),
    "a list for a config": (file(CONFIG, b"[]"), f"{CONFIG} is not a JSON object"),
    "a config that is no text": (file(CONFIG, b"\xff\xfe\0"), f"{CONFIG} is not a JSON object"),
    "another kind of adapter": (config(peft_type="IA3"), "peft_type 'IA3'"),
    "an unknown kind of adapter": (config(peft_type="NONE_SUCH"), "peft_type 'NONE_SUCH'"),
    "no kind of adapter": (config(peft_type=None), "peft_type None"),
    "DoRA": (config(use_dora=True), "use_dora True"),
    "biases": (config(bias="lora_only"), "bias 'lora_only'"),
    "biases of the path": (config(lora_bias=True), "lora_bias True"),
    "layers saved whole": (config(modules_to_save=["lm_head"]), r"modules_to_save \['lm_head'\]"),
    "trained tokens": (config(trainable_token_indices=[1, 2]), "trainable_token_indices"),
    "layers repeated": (config(layer_replication=[[0, 2]]), "layer_replication"),
    "parameters for targets": (config(target_parameters=["weight"]), "target_parameters"),
    "what a newer PEFT knows": (config(use_none_such=True), "use_none_such True"),
    "a start that changes the model": (config(init_lora_weights="pissa"), "init_lora_weights 'pissa'"),
    "another such start": (config(init_lora_weights="olora"), "init_lora_weights 'olora'"),
    "another task": (config(task_type="SEQ_CLS"), "task_type 'SEQ_CLS'"),
    "alpha as text": (config(lora_alpha="16"), "lora_alpha is '16'"),
    "alpha 0": (config(lora_alpha=0), "lora_alpha is 0"),
    "alpha NaN": (config(lora_alpha=float("nan")), "lora_alpha is nan"),
    "layers of a pattern": (config(target_modules=".*q_proj", layers_to_transform=[0]), f"{CONFIG} describes no LoRA"),
    "rank as text": (config(r="2"), "r is '2'"),
    "rank 0": (config(r=0), "r is 0"),
    "dropout as text": (config(lora_dropout="no"), "lora_dropout is 'no'"),
    "a list of ranks": (config(rank_pattern=["q_proj"]), "rank_pattern"),
    "alphas as text": (config(alpha_pattern={"q_proj": "8"}), "alpha_pattern"),
}


def save_adapter(model_folder, folder, rank=2, **settings):
    """Write an adapter that changes a model; return the logits of the model with it."""
    model = fresh_adapter(load_model(model_folder, "float32"), Adapter(rank=rank, **settings), seed=0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    return logits(model)


@torch.no_grad()
def logits(model):
    return model.eval()(IDS).logits


@pytest.fixture(scope="module")
def adapter(tiny_model_folder, tmp_path_factory):
    """An adapter that changes the tiny model, and the logits of the two."""
    folder = tmp_path_factory.mktemp("adapters") / "whole"
    return folder, save_adapter(tiny_model_folder, folder)


@pytest.fixture
def damaged(adapter, tmp_path):
    """Return a function that makes a damaged copy of the adapter."""

    def call(fault):
        shutil.copytree(adapter[0], tmp_path / "adapter")
        fault(tmp_path / "adapter")
        return tmp_path / "adapter"

    return call


def refuse(call, folder, named):
    with pytest.raises(GradsError) as caught:
        call()
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert re.search(named, sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 1200


@pytest.mark.parametrize("case", ADAPTERS)
def test_a_damaged_adapter_is_not_loaded_for_evaluation(case, damaged, tiny_model_folder):
    fault, named = ADAPTERS[case]
    folder = damaged(fault)
    refuse(lambda: load_model(tiny_model_folder, "float32", folder), folder, named)


@pytest.mark.parametrize(
    "case", ["half of the tensors", "compiled", "another rank in the config", "DoRA", "cut", "NaN"]
)
def test_training_does_not_go_on_from_a_damaged_adapter(case, damaged, tiny_model_folder):
    fault, named = ADAPTERS[case]
    folder, model = damaged(fault), load_model(tiny_model_folder, "float32")
    refuse(lambda: trained_adapter(model, folder, dropout=0.1), folder, named)
    assert not any("lora" in name for name, _ in model.named_modules())


@pytest.mark.parametrize("case", ["no weights", "half of the tensors", "DoRA", "a cut config", "alpha as text"])
def test_grads_evaluate_stops_before_the_work(case, damaged, tiny_model_folder, tmp_path):
    from typer.testing import CliRunner

    fault, named = ADAPTERS[case]
    folder, data, out = damaged(fault), tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"instruction": "Say 1.", "output": "It is 1."}\n')
    arguments = ["evaluate", "--model", tiny_model_folder, "--trained", folder, "--data", data, "--out", out]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert re.search(named, " ".join(result.output.split())), result.output
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "data.jsonl", "grads-work"}


@pytest.mark.parametrize("shape", [{"width": 16}, {"layers": 1}, {"layers": 3}])
def test_an_adapter_of_another_model_is_refused(shape, adapter, tmp_path):
    prepare_model(TinySource(kind="tiny", seed=0, **shape), None, tmp_path / "other")
    folder, named = adapter[0], "not a whole adapter|describes no adapter|of a smaller model"
    refuse(lambda: load_model(tmp_path / "other", "float32", folder), folder, named)


# What must stay accepted.
WHOLE = {
    "as it is": lambda folder: None,
    "in bf16": tensors(lambda stored: {name: value.bfloat16() for name, value in stored.items()}),
    "of a base that is nowhere": config(base_model_name_or_path="/no/where", revision="none"),
    "of a base without a name": config(base_model_name_or_path=None),
    "without a task": config(task_type=None),
    "with what a newer PEFT leaves empty": config(use_none_such=None, none_such_config={}),
    "from another start": config(init_lora_weights="gaussian"),
    "with a dropout": config(lora_dropout=0.5),
    "with a pickle": file("training_args.bin", b"no"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_adapter_is_applied(case, damaged, adapter, tiny_model_folder):
    folder = damaged(WHOLE[case])
    found = logits(load_model(tiny_model_folder, "float32", folder))
    rounding = {"rtol": 0.05, "atol": 0.05} if case == "in bf16" else {}
    torch.testing.assert_close(found, adapter[1], **rounding)


def test_rank_stabilised_scales_are_applied(damaged, adapter, tiny_model_folder):
    scale = 2**-0.5  # alpha / r becomes alpha / sqrt(r), so this alpha stands for the same scale.
    alpha = json.loads((adapter[0] / CONFIG).read_text())["lora_alpha"]
    folder = damaged(config(use_rslora=True, lora_alpha=alpha * scale))
    torch.testing.assert_close(logits(load_model(tiny_model_folder, "float32", folder)), adapter[1])


def test_an_adapter_on_some_layers_is_applied(tiny_model_folder, tmp_path):
    expected = save_adapter(tiny_model_folder, tmp_path / "some", rank=3, targets=["q_proj", "down_proj"])
    torch.testing.assert_close(logits(load_model(tiny_model_folder, "float32", tmp_path / "some")), expected)


def test_an_adapter_is_never_looked_for_elsewhere(damaged, tiny_model_folder, monkeypatch):
    import huggingface_hub

    def fetch(*given, **named):
        raise AssertionError(f"asked the hub for {given}")

    folder = damaged(file(WEIGHTS, None))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setattr("peft.utils.save_and_load.hf_hub_download", fetch)
    monkeypatch.setattr("peft.config.hf_hub_download", fetch)
    with pytest.raises(GradsError, match=f"give an adapter with {WEIGHTS}"):
        load_model(tiny_model_folder, "float32", folder)


NORM = "model.norm.weight"
# What is done to all weights that training left, and what the refusal names.
FULL = {
    "a tensor missing": (tensors(lambda s: {n: t for n, t in s.items() if n != NORM}, MODEL), f"lacks {NORM}"),
    "half of the tensors": (tensors(half, MODEL), "lacks .*and 8 more"),
    "compiled": (tensors(lambda s: {f"_orig_mod.{n}": t for n, t in s.items()}, MODEL), "holds _orig_mod"),
    "NaN": (tensors(lambda s: s | {NORM: s[NORM] * float("nan")}, MODEL), f"NaN or infinity in {NORM}"),
    "int8": (tensors(lambda s: s | {NORM: s[NORM].to(torch.int8)}, MODEL), r"norm.weight \(I8\)"),
    "cut": (file(MODEL, lambda content: content[:-10]), f"{MODEL} is no whole safetensors file"),
    "no weights": (file(MODEL, None), "holds no weights"),
    "a cut config": (file("config.json", b"{"), "config.json is not a JSON object"),
    "no config": (file("config.json", None), "holds neither an adapter nor model weights"),
    "more layers": (config("config.json", num_hidden_layers=3), "lacks model.layers.2"),
}


@pytest.mark.parametrize("case", FULL)
def test_damaged_weights_are_not_loaded(case, tiny_model_folder, tmp_path):
    fault, named = FULL[case]
    load_model(tiny_model_folder, "float32").save_pretrained(tmp_path / "weights")
    fault(tmp_path / "weights")
    refuse(lambda: load_model(tiny_model_folder, "float32", tmp_path / "weights"), tmp_path / "weights", named)


@pytest.mark.parametrize("shape", [{"width": 16}, {"layers": 1}, {"layers": 3}])
def test_weights_of_another_model_are_refused(shape, tiny_model_folder, tmp_path):
    prepare_model(TinySource(kind="tiny", seed=0, **shape), None, tmp_path / "other")
    named = "weights of another model"
    refuse(lambda: load_model(tiny_model_folder, "float32", tmp_path / "other"), tmp_path / "other", named)


@pytest.fixture(scope="module")
def moments(tiny_model_folder, tmp_path_factory):
    """The moments of an adapter after a step, and the model with it."""
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(rank=2), seed=0)
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad])
    model(IDS, labels=IDS).loss.backward()
    optimizer.step()
    folder = tmp_path_factory.mktemp("moments")
    write_moments(folder / "moments.safetensors", model, optimizer)
    return folder, model


def in_moments(change, **header):
    """Return a fault: other tensors, or another header."""

    def fault(folder):
        path = folder / "moments.safetensors"
        known = {"steps": "1", "beta1": "0.9", "beta2": "0.999", "epsilon": "1e-08"} | header
        save_file(change(load_file(path)), path, {key: text for key, text in known.items() if text is not None})

    return fault


def same(stored):
    return stored


AVERAGE = f"{LAYER}.lora_A.average"
MOMENTS = {
    "half of the tensors": (in_moments(half), r"lora_A.average \(missing\).*and 25 more"),
    "no squares": (in_moments(lambda s: {n: t for n, t in s.items() if n.endswith("average")}), "squared .missing"),
    "a layer missing": (in_moments(lambda s: {n: t for n, t in s.items() if "layers.1" not in n}), "layers.1.*missing"),
    "one too many": (in_moments(lambda s: s | {"new.lora_A.average": torch.ones(2)}), "new.lora_A.average .no such"),
    "renamed": (in_moments(lambda s: {f"_orig_mod.{n}": t for n, t in s.items()}), "and 53 more do not fit"),
    "of another rank": (in_moments(lambda s: s | {AVERAGE: torch.ones(4, 32)}), r"lora_A.average \(4 x 32 for 2 x 32"),
    "NaN": (in_moments(lambda s: s | {AVERAGE: s[AVERAGE] * float("nan")}), f"NaN or infinity in {AVERAGE}"),
    "squares below 0": (
        in_moments(lambda s: s | {f"{AVERAGE}_squared": -torch.ones_like(s[AVERAGE])}),
        f"{AVERAGE}_squared",
    ),
    "no steps": (in_moments(same, steps=None), "holds no moments"),
    "steps as text": (in_moments(same, steps="many"), "holds no moments"),
    "a rate as text": (in_moments(same, beta1="[0.9]"), "holds no moments"),
    "cut": (file("moments.safetensors", lambda content: content[:-10]), "holds no moments"),
    "empty": (file("moments.safetensors", b""), "holds no moments"),
    "missing": (file("moments.safetensors", None), "holds no moments"),
}


def opened(path, model):
    found = load_moments(path)
    check_moments(found, model, path)
    return found


@pytest.mark.parametrize("case", MOMENTS)
def test_damaged_moments_are_not_loaded(case, moments, tmp_path):
    fault, named = MOMENTS[case]
    shutil.copytree(moments[0], tmp_path / "kept")
    fault(tmp_path / "kept")
    path = tmp_path / "kept" / "moments.safetensors"
    refuse(lambda: opened(path, moments[1]), path, named)


@pytest.mark.parametrize("settings", [{"rank": 3}, {"rank": 2, "targets": ["q_proj"]}])
def test_moments_of_another_adapter_are_refused(settings, moments, tiny_model_folder):
    other = fresh_adapter(load_model(tiny_model_folder, "float32"), Adapter(**settings), seed=0)
    path = moments[0] / "moments.safetensors"
    refuse(lambda: opened(path, other), path, "not of this adapter")


def test_whole_moments_are_loaded(moments):
    found = opened(moments[0] / "moments.safetensors", moments[1])
    assert found.steps == 1
    assert found.average.keys() == initial_moments(moments[1]).average.keys()
