import copy
import math

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import bits_per_byte
from lm_eval.models.huggingface import HFLM
from peft import PeftModel
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import PretrainedConfig

from grads.evaluation import drift
from grads.evaluation.drift import compare, predicted_bytes, text_ids
from grads.evaluation.run import _drift_summary
from grads.models.load import load_model
from grads.runtime.errors import GradsError

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Rain fell.",
    "Ships left the harbour before the storm came in.",
]


class Head(nn.Module):
    """A model that is its head alone: hidden states are logits."""

    config = PretrainedConfig()

    def get_output_embeddings(self):
        return nn.Identity()


def states(probabilities):
    return torch.tensor(probabilities).log()


def test_closed_form():
    reference, tuned = [[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]
    found = compare(Head(), states(reference), Head(), states(tuned), torch.tensor([1, 2]))
    kl = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert found.kl == pytest.approx(kl / 2, rel=1e-5)
    assert found.nll == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2, rel=1e-5)


def test_kl_is_never_negative_and_taken_in_parts(monkeypatch):
    torch.manual_seed(0)
    reference = torch.randn(200, 50)
    near = reference + 1e-4 * torch.randn(200, 50)
    targets = torch.zeros(200, dtype=torch.long)
    whole = compare(Head(), reference, Head(), near, targets)
    assert 0 <= whole.kl < 1e-6
    far = torch.randn(200, 50)
    expected = (
        nn.functional.kl_div(far.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="sum") / 200
    )
    monkeypatch.setattr(drift, "POSITIONS_AT_ONCE", 7)
    assert compare(Head(), reference, Head(), far, targets).kl == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("budget", [1, 10_000])
def test_an_adapter_with_b_zero_has_not_moved(
    tiny_model_folder, make_adapter, tokenizer, counter, precision, budget, drift_of, untuned_of
):
    base = load_model(tiny_model_folder, precision)
    texts = text_ids(tokenizer, TEXTS, 12)
    untuned = untuned_of(base, texts, budget, counter)
    tuned = PeftModel.from_pretrained(base, make_adapter(0.0)).eval()
    assert [d.kl for d in drift_of(tuned, texts, untuned, budget, counter)] == [0.0] * len(TEXTS)
    assert counter.done == 2 * len(TEXTS)


def test_nll_and_kl_equal_whole_models(
    tiny_model_folder, model, make_adapter, tokenizer, counter, drift_of, untuned_of
):
    texts = text_ids(tokenizer, TEXTS, 12)
    untuned = untuned_of(model, texts, 30, counter)
    tuned = PeftModel.from_pretrained(model, make_adapter(0.3)).eval()
    found = drift_of(tuned, texts, untuned, 30, counter)
    other = load_model(tiny_model_folder, "float32")
    for ids, one in zip(texts, found, strict=True):
        batch = torch.tensor([ids])
        with torch.no_grad():
            loss = tuned(batch, labels=batch).loss.item()
            p, q = (m(batch).logits[0, :-1].log_softmax(-1) for m in (other, tuned))
        assert one.nll == pytest.approx(loss, rel=1e-5)
        assert one.kl == pytest.approx((p.exp() * (p - q)).sum(-1).mean().item(), rel=1e-4)
        assert one.kl > 1e-5


def test_the_untuned_head_survives_an_adapter_on_it(model, tokenizer, counter, drift_of, untuned_of):
    from peft import LoraConfig, get_peft_model

    texts = text_ids(tokenizer, TEXTS, 12)
    untuned = untuned_of(model, texts, 1000, counter)
    bare = drift_of(model, texts, untuned, 1000, counter)
    assert [d.kl for d in bare] == [0.0] * len(TEXTS)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)).eval()
    assert min(d.kl for d in drift_of(tuned, texts, untuned, 1000, counter)) > 0


def test_texts_are_cut_and_short_ones_refused(tokenizer):
    assert {len(ids) for ids in text_ids(tokenizer, TEXTS, 5)} == {5}
    with pytest.raises(GradsError, match="general text 2 has"):
        text_ids(tokenizer, ["long enough", "x"], 8)


@pytest.fixture
def adding(tokenizer):
    """A tokenizer that puts a token in front of each text and one after it."""
    names = ["<|im_start|>", "<|im_end|>"]
    changed = copy.deepcopy(tokenizer)
    ids = changed.convert_tokens_to_ids(names)
    changed.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{names[0]} $A {names[1]}", special_tokens=list(zip(names, ids, strict=True))
    )
    changed.bos_token = names[0]
    return changed


def test_texts_begin_with_the_beginning_token_and_have_no_end(tokenizer, adding):
    beginning = adding.convert_tokens_to_ids("<|im_start|>")
    assert text_ids(adding, ["some text"], 40) == [[beginning, *tokenizer("some text")["input_ids"]]]


LINES = [*TEXTS, "  Größe: 5 €, naïve 東京 🙂 end.  "]


def test_bits_per_byte_are_lm_evals(model, adding, counter, drift_of, untuned_of):
    """Where both predict the same: whole texts, behind the beginning token."""
    ids = text_ids(adding, LINES, 1000)
    found = drift_of(model, ids, untuned_of(model, ids, 1000, counter), 1000, counter)
    sizes = predicted_bytes(adding, LINES, 1000)
    assert sizes == [len(text.encode()) for text in LINES]
    summary = _drift_summary(found, [len(one) - 1 for one in ids], sizes)
    own = HFLM(pretrained=model, tokenizer=adding, batch_size=1, softmax_dtype="float32", add_bos_token=False)
    requests = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in LINES]
    expected = own.loglikelihood_rolling(requests, disable_tqdm=True)
    assert summary["bits_per_byte"] == pytest.approx(bits_per_byte(list(zip(expected, sizes, strict=True))), rel=1e-5)
    assert [item["bits"] for item in summary["items"]] == pytest.approx(
        [-one / math.log(2) for one in expected], rel=1e-5
    )


def test_only_bytes_of_predicted_tokens_count(tokenizer, adding):
    for text in LINES:
        spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        for limit in (2, 3, 7, len(spans), len(spans) + 1):
            kept = spans[:limit]
            end = len(text) if limit >= len(spans) else kept[-1][1]
            # Nothing predicts the first token where no other stands in front of it.
            assert predicted_bytes(tokenizer, [text], limit) == [len(text[spans[0][1] : end].encode())]
            assert predicted_bytes(adding, [text], limit + 1) == [len(text[:end].encode())]


def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused(tokenizer):
    class Slow:
        is_fast = False

    with pytest.raises(GradsError, match=r"tokenizer \(Slow\) does not say where its tokens stand"):
        predicted_bytes(Slow(), TEXTS, 12)


def test_a_model_that_is_sure_of_what_the_untuned_one_excludes_is_far_from_it():
    reference = torch.tensor([[0.0, -1e4, 0.0]])
    same = compare(Head(), reference.clone(), Head(), reference.clone(), torch.tensor([0]))
    assert same.kl == 0
    # KL(untuned || tuned) is finite where the untuned model gives no weight, and grows where the tuned one gives none.
    spread = compare(Head(), reference.clone(), Head(), torch.zeros(1, 3), torch.tensor([0]))
    assert spread.kl == pytest.approx(math.log(3 / 2), rel=1e-5)
    turned = compare(Head(), torch.zeros(1, 3), Head(), reference.clone(), torch.tensor([0]))
    assert turned.kl > 1000


def test_drift_does_not_depend_on_the_order_of_texts_or_their_padding(
    model, make_adapter, tokenizer, counter, drift_of, untuned_of
):
    texts = text_ids(tokenizer, TEXTS, 12)
    untuned = untuned_of(model, texts, 1000, counter)
    turned = untuned_of(model, texts[::-1], 1000, counter)
    tuned = PeftModel.from_pretrained(model, make_adapter(0.3)).eval()
    one = drift_of(tuned, texts, untuned, 1000, counter)
    other = drift_of(tuned, texts[::-1], turned, 1000, counter)[::-1]
    assert [d.kl for d in one] == pytest.approx([d.kl for d in other], rel=1e-4)
    assert [d.nll for d in one] == pytest.approx([d.nll for d in other], rel=1e-5)


def test_two_tokens_are_enough_and_their_second_is_predicted(model, tokenizer, counter, drift_of, untuned_of):
    texts = [ids[:2] for ids in text_ids(tokenizer, TEXTS, 12)]
    untuned = untuned_of(model, texts, 1000, counter)
    with torch.no_grad():
        expected = [-model(torch.tensor([a])).logits[0, 0].log_softmax(-1)[a[1]].item() for a in texts]
    assert [d.nll for d in drift_of(model, texts, untuned, 1000, counter)] == pytest.approx(expected, rel=1e-5)
