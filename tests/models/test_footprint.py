import json
import subprocess
import sys

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from grads.config.training import Adapter, Training
from grads.models.footprint import (
    BaseRead,
    cached_bytes,
    generation_footprint,
    largest_micro_batch,
    probe_footprint,
    refusal,
    scaling_footprint,
    scoring_footprint,
    trained_parameters,
    training_footprint,
)
from grads.models.hardware import CPU, DEVICES, GB, SOME_GPU, find_device
from grads.models.size import size_of_config

TINY = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 10, "max_position_embeddings": 64, "tie_word_embeddings": False,
}  # fmt: skip
QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
LORA = Training(adapter=Adapter(rank=2), max_length=32)
FULL = Training(weights="full", max_length=32)


@pytest.fixture(scope="module")
def tiny():
    return size_of_config(TINY)


@pytest.fixture(scope="module")
def qwen():
    return size_of_config(QWEN_7B)


def test_training_an_adapter_adds_up(tiny):
    found = training_footprint(tiny, LORA, "bf16", 3, 5, 4)
    # q and o 8 x 8, k and v 4 x 8, gate, up and down 16 x 8, in each of two layers.
    adapter = 2 * 2 * (2 * 16 + 2 * 12 + 3 * 24)
    assert trained_parameters(tiny, LORA) == adapter
    # 24 bytes of 8 hidden, 8 of 16 inner, 4 of 4 keys, in two layers and one more, for 15 tokens; 12 answer tokens.
    activations = 15 * 3 * (24 * 8 + 8 * 16 + 4 * 4)
    assert found.parts == {
        "weights": 2 * tiny.parameters, "adapter": 4 * adapter, "gradients": 4 * adapter,
        "optimiser states": 8 * adapter, "activations": activations, "logits": 12 * 10 * 12,
    }  # fmt: skip
    assert found.total == 2 * tiny.parameters + 16 * adapter + activations + 1440


def test_training_all_weights_takes_sixteen_bytes_each_and_copies_in_bf16(tiny):
    found = training_footprint(tiny, FULL, "bf16", 30, 5)
    held = {"weights in float32": 4, "gradients": 4, "optimiser states": 8, "copies in bf16": 2}
    assert {name: found.parts[name] for name in held} == {n: size * tiny.parameters for n, size in held.items()}
    assert "copies in bf16" not in training_footprint(tiny, FULL, "float32", 30, 5).parts
    # The step itself, where that is more than a short pass.
    assert training_footprint(tiny, FULL, "float32", 1, 1).parts["the optimiser's step"] == 4 * tiny.parameters


KL = BaseRead(logits=True)
L2_SP = BaseRead(weights=True)
EWC = BaseRead(weights=True, fisher=True)


def added(size, training, base, records=30):
    """Return the parts of a step that reads the base model and that one without does not have."""
    plain = training_footprint(size, training, "float32", records, 5, 4).parts
    found = training_footprint(size, training, "float32", records, 5, 4, base=base).parts
    assert {name: found[name] for name in plain} == plain
    return {name: bytes_ for name, bytes_ in found.items() if name not in plain}


def test_what_a_loss_reads_of_the_base_model_is_counted_where_all_weights_are_trained(tiny):
    # Its own layer at work: 8 x 8 hidden and 4 x 16 inner, 4 bytes each, for 150 tokens; 120 answers of 10 logits.
    logits = 150 * 4 * (8 * 8 + 4 * 16) + 120 * 10 * 12
    weights = 4 * tiny.parameters
    assert added(tiny, FULL, KL) == {"copy of the base model": weights, "base model's logits": logits}
    assert added(tiny, FULL, L2_SP) == {"copy of the base model": weights, "changes of weights": weights}
    assert added(tiny, FULL, EWC) == {
        "copy of the base model": weights, "Fisher information": weights, "changes of weights": weights,
    }  # fmt: skip


def test_next_to_an_adapter_the_base_model_takes_no_memory_but_its_fisher_information(tiny):
    # q and o 8 x 8, k and v 4 x 8, gate, up and down 16 x 8, in each of two layers.
    adapted = 2 * (2 * 64 + 2 * 32 + 3 * 128)
    assert added(tiny, LORA, KL) == {"base model's logits": 150 * 4 * (8 * 8 + 4 * 16) + 120 * 10 * 12}
    assert added(tiny, LORA, L2_SP) == {}
    assert added(tiny, LORA, EWC) == {"Fisher information": 4 * adapted, "changes of weights": 4 * adapted}
    queries = LORA.model_copy(update={"adapter": Adapter(rank=2, targets=["q_proj"])})
    assert added(tiny, queries, EWC) == {"Fisher information": 4 * 2 * 64, "changes of weights": 4 * 2 * 64}


def test_scaling_holds_two_models_or_an_adapter_twice(tiny):
    assert scaling_footprint(tiny, FULL).total == 8 * tiny.parameters
    assert scaling_footprint(tiny, LORA).total == 8 * trained_parameters(tiny, LORA)


def test_a_copy_of_the_base_model_may_be_what_does_not_fit(qwen):
    # 20 bytes a weight fit into 192 GB, the optimiser's step included; 24 do not.
    device, training = find_device("mi300x-192gb"), Training(weights="full", max_length=64)
    assert refusal("Qwen", qwen, training, "float32", device) is None
    sentence = refusal("Qwen", qwen, training, "float32", device, base=KL)
    for part in ("copy of the base model 30.5", "mi300x-192gb has", "weights to lora"):
        assert part in sentence
    assert largest_micro_batch(qwen, training, "float32", device, 8, base=KL) is None


def test_generating_holds_keys_and_values_of_all_tokens(tiny):
    assert cached_bytes(tiny, "bf16") == 2 * 2 * 1 * 4 * 2
    assert generation_footprint(tiny, LORA, "bf16", 100, 4).parts["key-value cache"] == 100 * 32
    # What was tuned whole lies next to the untuned model.
    assert generation_footprint(tiny, FULL, "bf16", 100, 4).parts["tuned weights"] == 2 * tiny.parameters
    scored = scoring_footprint(tiny, LORA, "float32", 4, 25)
    assert scored.parts["logits"] == 100 * 10 * 4
    assert "key-value cache" not in scoring_footprint(tiny, LORA, "float32", 4, 25, cached=False).parts


def test_without_gradients_or_losses_a_probe_takes_less(tiny):
    whole = probe_footprint(tiny, LORA, "bf16", 100, gradients=True, dense=True)
    plain = probe_footprint(tiny, LORA, "bf16", 100, gradients=True)
    losses = probe_footprint(tiny, LORA, "bf16", 100, gradients=False)
    states = probe_footprint(tiny, LORA, "bf16", 100, gradients=False, losses=False)
    assert whole.total > plain.total > losses.total > states.total > 2 * tiny.parameters


@pytest.mark.parametrize("training", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("computed", ["bf16", "float32"])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_more_records_longer_ones_and_dropout_take_more(training, computed, kind, tiny):
    def total(records, length, **options):
        return training_footprint(tiny, training, computed, records, length, kind=kind, **options).total

    assert total(8, 64) < total(16, 64) < total(16, 128)
    always = training.model_copy(update={"checkpointing": "always"})
    assert training_footprint(tiny, always, computed, 64, 64, kind=kind).total < total(64, 64)
    assert total(64, 64, response=8) < total(64, 64)
    dropping = training.model_copy(update={"adapter": Adapter(rank=2, dropout=0.1)})
    dropped = training_footprint(tiny, dropping, computed, 16, 128, kind=kind).total
    assert (dropped > total(16, 128)) == (training.weights == "lora")


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["lora", "full"])
@pytest.mark.parametrize("computed", ["bf16", "float32"])
def test_activations_are_what_autograd_saves(dropout, weights, computed):
    """By the bytes of all saved tensors, each storage once, of a llama whose keys are fewer than its queries."""
    import torch

    from grads.models.adapter import fresh_adapter
    from grads.models.causal import hidden_states

    if weights == "full" and dropout:
        pytest.skip("dropout is the adapter's")
    training = Training(weights=weights, adapter=Adapter(rank=1, dropout=dropout))

    def saved(layers, tokens):
        config = LlamaConfig(
            vocab_size=32, hidden_size=128, intermediate_size=320, num_hidden_layers=layers, num_attention_heads=4,
            num_key_value_heads=2,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        if weights == "lora":
            model = fresh_adapter(
                model.to(torch.bfloat16 if computed == "bf16" else torch.float32), training.adapter, 0
            )
        held = {}
        own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                held[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        kept = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with kept, torch.autocast("cpu", torch.bfloat16, enabled=computed == "bf16"):
            hidden_states(model.train(), input_ids=torch.zeros((1, tokens), dtype=torch.long))
        return sum(size for size, _tensor in held.values())

    # What one layer more, and 64 tokens more, add.
    found = (saved(2, 128) - saved(1, 128) - saved(2, 64) + saved(1, 64)) / 64
    size = size_of_config(TINY | {"hidden_size": 128, "intermediate_size": 320, "num_attention_heads": 4,
                                  "num_key_value_heads": 2, "num_hidden_layers": 0 + 1})  # fmt: skip
    activations = training_footprint(size, training, computed, 1, 1000, kind="cuda").parts["activations"] / 2000
    if dropout:
        activations = training_footprint(size, training, computed, 1, 1000, kind="cpu").parts["activations"] / 2000
    assert activations == pytest.approx(found, rel=0.03)


def test_a_7b_adapter_fits_where_it_should(qwen):
    lora = Training(max_length=1024)
    found = training_footprint(qwen, lora, "bf16", 1, 1024)
    assert found.parts["weights"] == pytest.approx(15.2 * GB, rel=0.01)
    assert largest_micro_batch(qwen, lora, "bf16", find_device("h100-80gb"), 8) == 4
    assert largest_micro_batch(qwen, lora, "bf16", find_device("h200-141gb"), 8) == 8
    assert refusal("Qwen", qwen, lora, "bf16", find_device("h100-80gb")) is None
    # Nobody knows the memory of these.
    assert largest_micro_batch(qwen, lora, "bf16", SOME_GPU, 8) == 8
    assert refusal("Qwen", qwen, Training(weights="full"), "float32", CPU) is None


def test_full_training_of_7b_is_refused_with_the_arithmetic_and_ways_out(qwen):
    sentence = refusal("Qwen", qwen, Training(weights="full", max_length=1024), "bf16", find_device("h100-80gb"))
    for part in ("Qwen", "float32 30.5", "gradients 30.5", "states 60.9", "h100-80gb has 75.2 GB", "weights to lora"):
        assert part in sentence
    assert "mi300x-192gb" in sentence
    assert "a100-80gb" not in sentence
    assert "max_length" not in sentence


def test_a_length_that_is_suggested_fits_and_one_more_does_not(qwen):
    device, training = find_device("rtx4090-24gb"), Training(max_length=4096)
    sentence = refusal("Qwen", qwen, training, "bf16", device)
    length = int(sentence.partition("training.max_length to ")[2].split(",")[0])
    for tokens, fits in ((length, True), (length + 1, False)):
        found = training.model_copy(update={"max_length": tokens})
        assert (refusal("Qwen", qwen, found, "bf16", device) is None) == fits


def test_devices_are_told_apart_and_named():
    from grads.runtime.errors import GradsError

    for name, device in DEVICES.items():
        assert device.name == name
        assert device.source
        if device.memory is not None and device.kind == "cuda":
            assert 0.9 * device.memory < device.usable < device.memory
            assert f"{device.memory // GB}gb" in name
    with pytest.raises(GradsError, match="'h100-80gb'"):
        find_device("h100-80g")


REAL = """
import json, sys
from pathlib import Path
from grads.runtime.libraries import limit_threads, settle_libraries
limit_threads(1)
settle_libraries(False)
from grads.config.models import Format
from grads.config.training import Training
from grads.data.records.record import make_record, write_records
from grads.training.run import TrainingCell, train_cells
model, place, length = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
write_records(place / "records.parquet", [make_record(f"Say {n}", "", "and so on " * length) for n in range(16)])
cell = TrainingCell(label="real", records=place / "records.parquet", kept=None, trained=place / "adapter",
    summary=place / "training.json", scratch=place / "scratch", initialisation_seed=0, order_seed=0, epochs=1)
train_cells([cell], model, Format(), Training(max_length=length, over_length="truncate", precision="float32"), 8)
print(json.dumps(next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) * 1024))
"""


@pytest.mark.slow
def test_a_real_training_process_takes_less_than_asked_and_more_than_half(long_model_folder, tmp_path):
    from grads.graph.resources import PROCESS, SLACK
    from grads.models.size import read_size

    command = [sys.executable, "-c", REAL, str(long_model_folder), str(tmp_path), "256"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-3000:]
    peak = json.loads(run.stdout.splitlines()[-1])
    needed = training_footprint(read_size(long_model_folder), Training(), "float32", 8, 256, kind="cpu").total
    asked = SLACK * (PROCESS["cpu"] + needed)
    assert asked / 2 < peak < asked
