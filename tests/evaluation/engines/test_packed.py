"""The fast engine is held to the plain model, one sequence at a time, on many architectures."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from grads.config.evaluation import ROWS, Evaluation
from grads.evaluation.engines import packed as module
from grads.evaluation.engines.attention import UnsupportedError
from grads.evaluation.engines.choice import engine_of
from grads.evaluation.engines.contract import Continuation
from grads.evaluation.engines.packed import packed
from grads.runtime.errors import GradsError

SIZES = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GROUPED = SIZES | {"num_key_value_heads": 2}
CONFIGS = {
    "llama": LlamaConfig(**GROUPED),
    "mistral": MistralConfig(**GROUPED, sliding_window=4),
    "qwen2": Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": Qwen3Config(**GROUPED, head_dim=8),
    "gemma": GemmaConfig(**GROUPED, head_dim=8),
    "gemma2": Gemma2Config(
        **GROUPED, head_dim=8, sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "gemma3": Gemma3TextConfig(**GROUPED, head_dim=8, sliding_window=4),
    "phi": PhiConfig(**SIZES),
    "phi3": Phi3Config(**GROUPED),
    "smollm3": SmolLM3Config(**GROUPED),
    "gpt2": GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=2),
    "gpt_neox": GPTNeoXConfig(**SIZES),
}
OTHERS = {
    "bloom": BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4, pad_token_id=0, eos_token_id=2),
    "falcon": FalconConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True),
    "llama with dynamic rotary frequencies": LlamaConfig(
        **GROUPED, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    ),
}
CONTEXT = [9, 17, 4, 33, 20, 51, 6, 12]
ASKED = [
    *(Continuation(CONTEXT, tokens) for tokens in ([5], [7], [8, 3, 44], [8, 3, 45, 10, 11])),
    Continuation(CONTEXT[:3], [40, 41]),
    Continuation([30], [31, 32, 33, 34, 35, 36, 37, 38, 39]),
    Continuation(CONTEXT, []),
]
PROMPTS = [CONTEXT, [30], [3, 50, 22], [9, 17, 4], list(range(10, 30)), [55, 44], [8, 8, 8, 8]]


def make(name: str) -> nn.Module:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(copy.deepcopy((CONFIGS | OTHERS)[name])).eval()
    # Larger than a start of training makes them, so that attention and positions count.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.3)
    return model


def oracle(model: nn.Module, asked: Continuation) -> tuple[float, bool]:
    if not asked.tokens:
        return 0.0, True
    with torch.no_grad():
        logits = model(torch.tensor([asked.before + asked.tokens])).logits[0, -len(asked.tokens) - 1 : -1]
    rows = logits.float().log_softmax(-1)
    targets = torch.tensor(asked.tokens)
    total = rows.gather(1, targets.unsqueeze(1)).sum().item()
    return total, bool((rows.argmax(-1) == targets).all())


def generated(model: nn.Module, prompt: list[int], limit: int, ends: list[int]) -> list[int]:
    """What transformers' own `generate` makes of one prompt."""
    ids = torch.tensor([prompt])
    found = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, eos_token_id=ends,
        pad_token_id=0,
    )  # fmt: skip
    return found[0, len(prompt) :].tolist()


def some_ends(model: nn.Module) -> list[int]:
    """Tokens that end answers at different places: one from the middle of the longest answer, and another."""
    longest = max((generated(model, prompt, 9, [60]) for prompt in PROMPTS), key=len)
    return [longest[len(longest) // 2], 60]


def check(model: nn.Module, limit: int = 9) -> None:
    expected = [oracle(model, one) for one in ASKED]
    ends = some_ends(model)
    answers = [generated(model, prompt, limit, ends) for prompt in PROMPTS]
    before = model.config._attn_implementation
    done: list[int] = []
    for budget, rows in ((4096, None), (4096, 3), (1, 1), (24, 2)):
        with packed(model, budget, rows) as engine:
            scores = engine.scores(ASKED, lambda: done.append(1))
            assert [one.log_probability for one in scores] == pytest.approx([one for one, _ in expected], rel=1e-4)
            assert [one.greedy for one in scores] == [greedy for _, greedy in expected]
            assert engine.answers(PROMPTS, limit, ends, lambda: done.append(1)) == answers
            assert engine.record() == {"name": "fast", "generation_batch": rows or ROWS["cpu"]}
    assert model.config._attn_implementation == before
    assert len({len(answer) for answer in answers}) > 1
    assert [oracle(model, one) for one in ASKED] == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_scores_and_answers_are_the_plain_models(name):
    check(make(name))


@pytest.mark.parametrize(
    "options",
    [
        {"r": 4, "target_modules": "all-linear", "use_rslora": True},
        {
            "r": 4,
            "target_modules": ["q_proj", "down_proj"],
            "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {"q_proj": 3},
        },
        {"r": 2, "target_modules": ["embed_tokens", "lm_head", "v_proj"], "lora_alpha": 5},
    ],
)
def test_adapters_are_heard_as_peft_has_them(options):
    tuned = get_peft_model(make("llama"), LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **options)).eval()
    check(tuned.get_base_model())
    assert any("lora_A" in name for name, _ in tuned.named_parameters())


def test_an_adapter_on_layers_that_store_their_weights_turned():
    config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, target_modules=["c_attn"], fan_in_fan_out=True)
    check(get_peft_model(make("gpt2"), config).eval().get_base_model())


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_it_cannot_run_goes_by_the_plain_path_and_says_why(name, capfd):
    model = make(name)
    before = model.config._attn_implementation
    with engine_of(model, Evaluation()) as engine:
        record = engine.record()
        answers = engine.answers(PROMPTS[:3], 4, [60], lambda: None)
    assert record["name"] == "reference"
    assert type(model).__name__ in record["reason"]
    assert record["reason"] in capfd.readouterr().err
    kept = [answer[: answer.index(60) + 1] if 60 in answer else answer for answer in answers]
    assert kept == [generated(model, prompt, 4, [60]) for prompt in PROMPTS[:3]]
    assert model.config._attn_implementation == before


def test_a_model_whose_tokens_mix_outside_attention_is_found_out():
    model = make("llama")

    class Shifted(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, states):
            return self.inner(states + states.roll(1, dims=1))

    model.model.layers[1].mlp = Shifted(model.model.layers[1].mlp)
    with pytest.raises(UnsupportedError, match="other states"), packed(model, 100):
        pass


def short_of_memory(monkeypatch, most):
    """Let passes over more than so many tokens fail as they do where memory runs out."""
    real = module.Packed._pass

    def limited(self, tokens, positions, plan):
        if len(tokens) > most:
            raise torch.OutOfMemoryError
        return real(self, tokens, positions, plan)

    monkeypatch.setattr(module.Packed, "_pass", limited)


def test_where_memory_runs_out_batches_are_halved_and_the_work_goes_on(monkeypatch, capfd):
    model = make("llama")
    ends = some_ends(model)
    expected = [oracle(model, one) for one in ASKED]
    answers = [generated(model, prompt, 9, ends) for prompt in PROMPTS]
    with packed(model, 4096, 7) as engine:
        short_of_memory(monkeypatch, 30)
        scores = engine.scores(ASKED, lambda: None)
        found = engine.answers(PROMPTS, 9, ends, lambda: None)
    assert [one.log_probability for one in scores] == pytest.approx([one for one, _ in expected], rel=1e-4)
    assert found == answers
    assert engine.record()["lowered"][-1]["generation_batch"] < 7
    assert "memory ran out" in capfd.readouterr().err


def test_what_does_not_fit_alone_is_refused(monkeypatch):
    model = make("llama")
    with packed(model, 4096) as engine:
        short_of_memory(monkeypatch, 3)
        with pytest.raises(GradsError, match="memory ran out in one pass over"):
            engine.scores(ASKED, lambda: None)
        with pytest.raises(GradsError, match="memory ran out in writing one answer"):
            engine.answers([CONTEXT], 2, [60], lambda: None)


def test_other_errors_are_not_taken_for_it(monkeypatch):
    model = make("llama")
    with packed(model, 4096) as engine:

        def fails(*_given):
            raise RuntimeError("shapes do not match")

        monkeypatch.setattr(module.Packed, "_pass", fails)
        with pytest.raises(RuntimeError, match="shapes"):
            engine.answers([CONTEXT], 2, [60], lambda: None)


def test_nothing_to_do():
    with packed(make("llama"), 100) as engine:
        assert engine.scores([], lambda: None) == []
        assert engine.answers([], 4, [60], lambda: None) == []
        assert engine.answers([[5]], 0, [60], lambda: None) == [[]]


def test_answers_to_prompts_that_fill_the_positions():
    """The last token of an answer is made from the last position that there is."""
    model = make("gpt2")
    prompt = [number % 60 for number in range(60)]
    expected = generated(model, prompt, 4, [60])
    with packed(model, 4096) as engine:
        assert engine.answers([prompt], 4, [60], lambda: None) == [expected]
