import errno
import re
import shutil

import pytest
from transformers import AutoModelForCausalLM, MixtralConfig

from grads.cli import doctor


def test_doctor_reports_the_machine_and_passes(grads):
    printed = grads("doctor").stdout
    for word in (
        "python",
        "disk",
        "device",
        "torch",
        "ok         batch invariance of the probe",
        "ok         network",
        "ok         files of results",
    ):
        assert word in printed


def test_gpus_of_any_maker_are_counted(grads, monkeypatch):
    for name in doctor.CHECKS:
        monkeypatch.setitem(doctor.CHECKS, name, lambda: (True, "left out"))
    monkeypatch.setattr("grads.runtime.locks.local_devices", lambda: 3)
    (device,) = [line for line in grads("doctor").stdout.splitlines() if line.startswith("device")]
    assert "3 GPUs" in device
    assert "ROCm" in device


def test_a_check_that_fails_is_status_1(grads, monkeypatch):
    monkeypatch.setitem(doctor.CHECKS, "network", lambda: (False, "reached"))
    assert "FAILED     network: reached" in grads("doctor", status=1).stdout


def break_head_norms(monkeypatch):
    from grads.probing import invariance

    real = invariance.measure

    def wrong(model, examples, measures, budget, padding, **options):
        found = real(model, examples, measures, budget, padding, **options)
        if "head_l2" in found.columns:
            found.columns["head_l2"][3] *= 1 + budget * 1e-5
        return found

    monkeypatch.setattr(invariance, "measure", wrong)


def test_a_probe_that_depends_on_its_batch_is_noticed(monkeypatch):
    break_head_norms(monkeypatch)
    assert not doctor.batch_invariance()[0]


def table(printed):
    return dict(re.findall(r"^(\w+) +([0-9.e+-]+ +[0-9.e-]+.*)$", printed, re.MULTILINE))


@pytest.mark.parametrize("options", [(), ("--dtype", "bf16")], ids=["float32", "bf16"])
def test_a_model_is_checked_signal_by_signal(grads, tiny_model_folder, options):
    from grads.probing.tolerances import rough

    result = grads("doctor", "--model", tiny_model_folder, *options)
    found = {name: tuple(map(float, text.split())) for name, text in table(result.stdout).items()}
    assert set(found) == rough().keys() - {"adam_features"}
    assert all(error <= allowed == (rough()[name] if options else 5e-5) for name, (error, allowed) in found.items())
    # A processor that only imitates bf16 may add up any batch in the same order.
    assert options or any(error > 0 for error, _ in found.values())


def test_records_of_ones_own_and_no_compiler(grads, tiny_model_folder, data, monkeypatch):
    from grads.cli import invariance

    seen, real = [], invariance.batch_errors
    monkeypatch.setattr(invariance, "batch_errors", lambda *given: seen.append(given) or real(*given))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    result = grads("doctor", "--model", tiny_model_folder, "--data", data, "--compile")
    assert [len(examples) for _, examples, *_ in seen] == [12, 12, 12]
    assert [compiled for *_, compiled in seen] == [False, False, False]
    assert "there is no C++ compiler g++" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles with g++ here")
def test_compiled_layers_are_checked(grads, tiny_model_folder, monkeypatch):
    from grads.probing.gradients import passes

    compiled, real = [], passes.compiled_layers
    monkeypatch.setattr(passes, "compiled_layers", lambda model: compiled.append(model) or real(model))
    grads("doctor", "--model", tiny_model_folder, "--compile")
    assert len(compiled) == 3


def test_a_model_whose_probe_depends_on_the_batch_is_status_2(grads, tiny_model_folder, monkeypatch):
    break_head_norms(monkeypatch)
    result = grads("doctor", "--model", tiny_model_folder, status=2)
    assert table(result.stdout)["head_l2"].endswith("TOO LARGE")
    assert result.stdout.count("TOO LARGE") == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: with ")
    assert "head_l2 of a record changes by" in last


def test_signals_that_a_model_cannot_give_are_named(grads, tiny_model_folder, tmp_path):
    """An adapter on all layers of a mixture of experts is more than the probe knows; embedding and head are not."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MixtralConfig(vocab_size=300, num_key_value_heads=2, num_local_experts=2, **sizes)
    gone = shutil.ignore_patterns("*.safetensors", "config.json")
    shutil.copytree(tiny_model_folder, tmp_path / "model", ignore=gone)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    result = grads("doctor", "--model", tmp_path / "model")
    assert {"head_l2", "embedding_l2"} <= table(result.stdout).keys()
    assert "adapter_l2" not in result.stdout
    assert "signals of all weights are not checked: model.layers.0.mlp." in result.stderr
    assert "signals of an adapter are not checked: base_model.model.model.layers.0.mlp.gate is a" in result.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "x.jsonl"], "add --model"),
        (["--compile"], "add --model"),
        (["--dtype", "bf16"], "add --model"),
        (["--model", "nowhere"], "--model nowhere: there is no such folder"),
        (["--model", "MODEL", "--dtype", "float16"], "--dtype float16: did you mean 'float32'?"),
        (["--model", "MODEL", "--data", "x.jsonl"], "--data x.jsonl is not there"),
    ],
)
def test_a_mistake_is_one_sentence(grads, tiny_model_folder, options, sentence):
    given = [tiny_model_folder if option == "MODEL" else option for option in options]
    assert sentence in grads("doctor", *given, status=2).stderr.splitlines()[-1]


def test_the_file_system_of_results_is_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    passed, text = doctor.files_of_results()
    assert passed
    assert str(tmp_path / "results") in text
    assert list((tmp_path / "results").iterdir()) == []

    def without(handle, _kind):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("grads.runtime.locks.fcntl.flock", without)
    passed, text = doctor.files_of_results()
    assert not passed
    assert "GRADS_LOCKS=off" in text
    monkeypatch.setenv("GRADS_LOCKS", "off")
    assert doctor.files_of_results()[0]
    monkeypatch.delenv("GRADS_LOCKS")
    # As of some network file systems: granted, and to everybody.
    monkeypatch.setattr("grads.runtime.locks.fcntl.flock", lambda _handle, _kind: None)
    passed, text = doctor.files_of_results()
    assert not passed
    assert "keep nobody out" in text
    monkeypatch.setattr("grads.runtime.files.os.fsync", without_room)
    passed, text = doctor.files_of_results()
    assert not passed
    assert "no room is left" in text
    assert list((tmp_path / "results").iterdir()) == []


def without_room(_descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")
