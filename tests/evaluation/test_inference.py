import torch
from peft import PeftModel

from grads.evaluation.inference import autocast_dtype, inference
from grads.models.load import load_model


def test_float32_weights_are_not_autocast(model):
    assert autocast_dtype(model) is None
    with inference(model):
        assert not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_bf16_weights_are_autocast_and_the_adapter_stays_float32(tiny_model_folder, make_adapter):
    tuned = load_model(tiny_model_folder, "bf16", make_adapter(0.1))
    assert {p.dtype for n, p in tuned.named_parameters() if "lora" in n} == {torch.float32}
    with inference(tuned):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert isinstance(tuned, PeftModel)
    assert not torch.is_autocast_enabled("cpu")
