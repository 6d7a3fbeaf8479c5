import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from transformers import AutoModelForCausalLM, LlamaConfig

from grads.models.frozen_paths import LowRankLinear, low_rank_paths
from grads.models.norms import fused_norms


def tuned(dtype=torch.float32, **options):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, attention_bias=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    return get_peft_model(model, LoraConfig(r=4, init_lora_weights=False, **options)).eval()


def logits(model, dtype):
    ids = torch.arange(2, 34).view(2, 16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return model(input_ids=ids).logits.float()


@pytest.mark.parametrize("options", [{"target_modules": "all-linear"}, {"target_modules": ["q_proj"], "lora_alpha": 3}])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_logits_are_pefts(options, dtype, rounding):
    model = tuned(dtype, **options)
    before = {name: type(module) for name, module in model.named_modules()}
    expected = logits(model, dtype)
    with low_rank_paths(model, dtype):
        assert any(isinstance(module, LowRankLinear) for module in model.modules())
        assert not any(isinstance(module, Linear) for module in model.modules())
        found = logits(model, dtype)
    assert (found - expected).abs().max() <= rounding * expected.abs().max()
    with model.disable_adapter():
        assert not torch.equal(logits(model, dtype), expected)
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert torch.equal(logits(model, dtype), expected)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}])
def test_what_is_more_than_a_low_rank_path_stays_pefts(options):
    model = tuned(target_modules=["q_proj"], **options)
    expected = logits(model, torch.float32)
    with low_rank_paths(model, torch.float32):
        assert not any(isinstance(module, LowRankLinear) for module in model.modules())
        assert torch.equal(logits(model, torch.float32), expected)


def test_an_adapter_that_is_switched_off_stays_so():
    model = tuned(target_modules=["q_proj"])
    with model.disable_adapter():
        expected = logits(model, torch.float32)
        with low_rank_paths(model, torch.float32):
            assert torch.equal(logits(model, torch.float32), expected)


def test_the_model_is_given_back_when_the_block_fails():
    model = tuned(target_modules=["q_proj"])
    with pytest.raises(KeyError), low_rank_paths(model, torch.float32):
        raise KeyError
    assert any(isinstance(module, Linear) for module in model.modules())


def test_norms_are_torchs_own_where_they_agree():
    model = tuned(target_modules=["q_proj"])
    expected = logits(model, torch.float32)
    model.get_base_model().model.norm.weight.data += 0.5
    changed = logits(model, torch.float32)
    with fused_norms(model):
        assert "forward" in vars(model.get_base_model().model.norm)
        assert torch.allclose(logits(model, torch.float32), changed, rtol=1e-5, atol=1e-5)
    assert "forward" not in vars(model.get_base_model().model.norm)
    assert not torch.allclose(changed, expected)


def test_a_norm_that_adds_one_to_its_weights_stays_as_it_is():
    from transformers.models.gemma.modeling_gemma import GemmaRMSNorm

    norm = GemmaRMSNorm(8)
    with fused_norms(norm):
        assert "forward" not in vars(norm)
