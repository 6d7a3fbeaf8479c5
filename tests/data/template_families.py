"""Chat templates in the shapes of the families that people fine-tune, and tokenizers with their special tokens.

The templates are written for these tests: each has the features of its family that matter for prompts (default system
prompts, trimmed contents, thinking blocks, channel headers, answers without an end), not its text.
"""

from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "What is the notice period of this contract? Three months, in writing, to the end of a quarter.",
    "Name a river in France and say where it flows. The Loire flows to the Atlantic near Nantes.",
    "You are a helpful assistant. Answer in one sentence.  Be brief!\n\nThe law says: 1. yes; 2. no.\nuser assistant",
    "system user assistant final analysis message 0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz",
    "$%&'()*+,-./:;<=>?@[]^_`{|}~ #\"\\\t",
] * 4


@dataclass(frozen=True)
class Family:
    """A template with its arguments, and its tokenizer's special tokens; with `spaces` words begin by a space token."""

    name: str
    template: str
    special: tuple[str, ...]
    end_of_sequence: str
    beginning: str | None = None
    spaces: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)


CHATML_TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
IM = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")

FAMILIES = [
    Family(
        "Llama 2",
        "{% if messages[0].role == 'system' %}"
        "{% set first = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}{% set said = messages[1:] %}"
        "{% else %}{% set first = '' %}{% set said = messages %}{% endif %}"
        "{% for m in said %}{% if m.role == 'user' %}"
        "{{ bos_token + '[INST] ' + ((first if loop.index0 == 0 else '') + m.content).strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
        "</s>",
        beginning="<s>",
        spaces=True,
    ),
    Family(
        "Llama 3",
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content.strip() %}"
        "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
        "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: 26 Jul 2024\\n\\n' + system + '<|eot_id|>' }}"
        "{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content.strip() + "
        "'<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"),
        "<|eot_id|>",
        beginning="<|begin_of_text|>",
    ),
    Family(
        "Mistral",
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
        "{% set messages = messages[1:] %}{% else %}{% set system = none %}{% endif %}"
        "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' }}"
        "{% if system is not none and loop.index0 == messages | length - 2 %}{{ system + '\\n\\n' }}{% endif %}"
        "{{ m.content + '[/INST]' }}{% elif m.role == 'assistant' %}{{ m.content + eos_token }}"
        "{% else %}{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}{% endfor %}",
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
        beginning="<s>",
    ),
    Family(
        "Gemma",
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\\n\\n' %}"
        "{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}"
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + "
        "(first if loop.first else '') + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<eos>",
        beginning="<bos>",
    ),
    Family(
        "Qwen 2.5",
        "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
        "{% endif %}" + CHATML_TURNS,
        IM,
        "<|im_end|>",
    ),
    Family(
        "Qwen 3",
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        "{% set content = m.content.split('</think>')[-1].lstrip('\\n') %}{{ '<|im_start|>assistant\\n' }}"
        "{% if loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ content + '<|im_end|>\\n' }}"
        "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
        "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
        "{% endif %}",
        (*IM, "<think>", "</think>"),
        "<|im_end|>",
        arguments={"enable_thinking": False},
    ),
    Family(
        "R1-like",
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
        "{% elif m.role == 'user' %}{{ '<|User|>' + m.content }}"
        "{% else %}{% set content = m.content %}{% if '</think>' in content %}"
        "{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{ '<|Assistant|>' + content + '<|end_of_sentence|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}",
        ("<|begin_of_sentence|>", "<|end_of_sentence|>", "<|User|>", "<|Assistant|>", "<think>", "</think>"),
        "<|end_of_sentence|>",
        beginning="<|begin_of_sentence|>",
    ),
    Family(
        "harmony-like",
        "{{ '<|start|>system<|message|>You are a model.\\nReasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}"
        "{% for m in messages %}{% if m.role in ('system', 'developer') %}"
        "{{ '<|start|>developer<|message|># Instructions\\n\\n' + m.content + '<|end|>' }}"
        "{% elif m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
        "{{ '<|return|>' if loop.last else '<|end|>' }}"
        "{% else %}{{ '<|start|>user<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}",
        ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"),
        "<|return|>",
        arguments={"reasoning_effort": "low"},
    ),
    Family(
        "GLM-like",
        "[gMASK]<sop>{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
        ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
        "<|endoftext|>",
    ),
    Family(
        "content parts",
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        IM,
        "<|im_end|>",
    ),
    Family(
        "SmolLM2",
        "{% for m in messages %}{% if loop.first and messages[0].role != 'system' %}"
        "{{ '<|im_start|>system\\nYou are a helpful AI assistant named SmolLM<|im_end|>\\n' }}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        IM,
        "<|im_end|>",
    ),
]


def family_tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """Return a tokenizer of merged tokens, byte-level or with spaces as tokens' beginnings, with the template."""
    if family.spaces:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.beginning,
        eos_token=family.end_of_sequence,
        pad_token=family.end_of_sequence,
        additional_special_tokens=list(family.special),
        chat_template=family.template,
        clean_up_tokenization_spaces=False,
    )
