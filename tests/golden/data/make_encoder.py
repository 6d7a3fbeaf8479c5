"""How `tests/golden/data/encoder` was made: a tiny random BERT of one token a letter, for studies that name an encoder.

The folder is committed, so that its weights do not depend on the random numbers of the installed torch.
"""

import tempfile
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789?."]
SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def main(out: Path) -> None:
    """Write the encoder to the folder `out`."""
    words = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("\n".join(words), encoding="utf-8")
        BertTokenizerFast(str(vocabulary), model_max_length=64).save_pretrained(out)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **SHAPE)).save_pretrained(out)


if __name__ == "__main__":
    main(Path(__file__).with_name("encoder"))
