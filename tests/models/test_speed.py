import pytest

from grads.models.hardware import DEVICES, UTILISATION, Device
from grads.models.size import size_of_config
from grads.models.speed import PROCESS, answer_seconds, pass_seconds, start_seconds

# Decoder without weights to speak of beside its embedding: what is multiplied is easily counted.
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


def test_a_pass_is_bound_by_products_by_reading_or_by_launching():
    weights = SIZE.parameters - 80
    slow = device(flops=1.0)
    assert pass_seconds(SIZE, 70, "forward", slow, 10) == pytest.approx(2 * weights * 70 / REACHED.forward)
    assert pass_seconds(SIZE, 70, "probe", slow, 10) == pytest.approx(4 * weights * 70 / REACHED.training)
    adapted = pass_seconds(SIZE, 70, "train", slow, 10, trained=5)
    assert adapted == pytest.approx((4 * weights + 6 * 5) * 70 / REACHED.training)
    whole = pass_seconds(SIZE, 70, "train", slow, 10, trained=SIZE.parameters)
    assert whole == pytest.approx(6 * SIZE.parameters * 70 / REACHED.training)
    # Seven batches read all weights of two bytes each, once forward and once for each kind of gradient.
    far = device(bandwidth=1.0)
    assert pass_seconds(SIZE, 70, "forward", far, 10) == pytest.approx(7 * 2 * SIZE.parameters / REACHED.bandwidth)
    assert pass_seconds(SIZE, 61, "train", far, 10) == pytest.approx(7 * 3 * 2 * SIZE.parameters / REACHED.bandwidth)
    assert pass_seconds(SIZE, 70, "forward", device(), 10) == pytest.approx(7 * 2 * REACHED.layer)


def test_answers_take_their_prompts_and_a_step_a_token_for_each_batch():
    prompts = pass_seconds(SIZE, 8 * 5, "forward", device(), 4 * 5)
    assert answer_seconds(SIZE, 8, 10, 5, 4, device()) == pytest.approx(prompts + 2 * 10 * 2 * REACHED.layer)
    # More rows than answers do not help.
    assert answer_seconds(SIZE, 8, 10, 5, 8, device()) == answer_seconds(SIZE, 8, 10, 5, 80, device())
    # Keys and values are read: 2 layers x 2 x 4 numbers of 2 bytes a token, 5 + 5 tokens on average, for 4 rows.
    far = device(bandwidth=1.0)
    step = (2 * SIZE.parameters + 4 * 10 * 32) / REACHED.bandwidth
    prompts = pass_seconds(SIZE, 8 * 5, "forward", far, 4 * 5)
    assert answer_seconds(SIZE, 8, 10, 5, 4, far) == pytest.approx(prompts + 20 * step)


@pytest.mark.parametrize("name", DEVICES)
def test_more_tokens_take_longer_on_every_device(name):
    one = DEVICES[name]
    seconds = [
        pass_seconds(SIZE, tokens, "train", one, 512, trained=SIZE.parameters)
        for tokens in (10_000, 100_000, 1_000_000)
    ]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert answer_seconds(SIZE, 8, 64, 5, 4, one) < answer_seconds(SIZE, 8, 128, 5, 4, one)


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
    assert pass_seconds(size, 9600, "train", h100, 4096, trained=trained) == pytest.approx(1.0, rel=0.33)
    assert answer_seconds(size, 64, 256, 1, 64, h100) / 256 == pytest.approx(0.045, rel=0.33)
