import pytest

from grads.data.passes import Lengths, Passes
from grads.models.hardware import DEVICES, UTILISATION, Device
from grads.models.size import size_of_config
from grads.models.speed import PROCESS, answer_seconds, pass_seconds, start_seconds

# Decoder without weights to speak of but its embedding: what is multiplied is easily counted.
SIZE = size_of_config(
    {
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
)  # fmt: skip
REACHED = UTILISATION["cuda"]


def device(flops=1e30, bandwidth=1e30):
    return Device("some", "cuda", None, flops, bandwidth, "a test")


def passes(tokens, batch):
    """Return passes of so many tokens, so many in a batch."""
    return Lengths.of([1] * tokens).in_rows(batch)


def test_a_pass_is_bound_by_products_by_reading_or_by_launching():
    weights = SIZE.parameters - 80
    slow = device(flops=1.0)
    seventy = passes(70, 10)
    assert pass_seconds(SIZE, seventy, "forward", slow) == pytest.approx(2 * weights * 70 / REACHED.forward)
    assert pass_seconds(SIZE, seventy, "probe", slow) == pytest.approx(4 * weights * 70 / REACHED.training)
    adapted = pass_seconds(SIZE, seventy, "train", slow, trained=5)
    assert adapted == pytest.approx((4 * weights + 6 * 5) * 70 / REACHED.training)
    whole = pass_seconds(SIZE, seventy, "train", slow, trained=SIZE.parameters)
    assert whole == pytest.approx(6 * SIZE.parameters * 70 / REACHED.training)
    # Seven batches read all weights of two bytes each, once forward and once for each kind of gradient.
    far = device(bandwidth=1.0)
    assert pass_seconds(SIZE, seventy, "forward", far) == pytest.approx(7 * 2 * SIZE.parameters / REACHED.bandwidth)
    three = pass_seconds(SIZE, passes(61, 10), "train", far)
    assert three == pytest.approx(7 * 3 * 2 * SIZE.parameters / REACHED.bandwidth)
    assert pass_seconds(SIZE, seventy, "forward", device()) == pytest.approx(7 * 2 * REACHED.layer)
    # Padding costs what tokens do.
    padded = Passes(7, 70, 140, 7)
    assert pass_seconds(SIZE, padded, "probe", slow) == 2 * pass_seconds(SIZE, seventy, "probe", slow)


def test_answers_take_a_step_a_token_for_each_batch():
    answers = Passes(sequences=8, tokens=80, padded=2 * 4 * 10, batches=20)
    assert answer_seconds(SIZE, answers, 10, device()) == pytest.approx(20 * 2 * REACHED.layer)
    # Keys and values are read: 2 layers x 2 x 4 numbers of 2 bytes a token, 10 tokens on average, for 4 rows.
    step = (2 * SIZE.parameters + 4 * 10 * 32) / REACHED.bandwidth
    assert answer_seconds(SIZE, answers, 10, device(bandwidth=1.0)) == pytest.approx(20 * step)
    assert answer_seconds(SIZE, Passes(), 10, device()) == 0


@pytest.mark.parametrize("name", DEVICES)
def test_more_tokens_take_longer_on_every_device(name):
    one = DEVICES[name]
    seconds = [
        pass_seconds(SIZE, passes(tokens, 512), "train", one, trained=SIZE.parameters)
        for tokens in (10_000, 100_000, 1_000_000)
    ]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    few, many = (answer_seconds(SIZE, Passes(8, 8 * steps, 8 * steps, steps), 5, one) for steps in (64, 128))
    assert few < many


def test_loading_takes_longer_the_more_there_is():
    assert start_seconds(SIZE) > PROCESS


def test_a_7b_model_takes_about_what_others_report():
    """9,600 tokens a second of training with an adapter on an H100, 45 ms a step of decoding: within a third."""
    config = {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    size = size_of_config(config)
    h100 = DEVICES["h100-80gb"]
    trained = size.adapter_parameters(16, "all-linear")
    assert pass_seconds(size, passes(9600, 4096), "train", h100, trained=trained) == pytest.approx(1.0, rel=0.33)
    assert answer_seconds(size, Passes(64, 64, 64, 1), 129, h100) == pytest.approx(0.045, rel=0.33)
