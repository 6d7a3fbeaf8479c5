"""Predictions with one reference and with several, in English and in Chinese."""

from typing import Any

import pytest

PAIRS = [
    ("the doctor prescribed a drug for the sickness", "The physician prescribed a drug for the illness"),
    ("a legal document that states rights, and duties of the parties.", "a document stating rights and duties"),
    ("", "money that is owed"),
    ("money that is owed", "money that is owed"),
    ("word", "an entirely different sentence about something else"),
]
FURTHER = [["the doctor gave a drug against the sickness"], [], ["debt", "owed money"], ["the debt"], ["a word"]]
CHINESE = [
    ("甲方承担责任。", "甲方应承担违约责任。", ["甲方须负违约责任"]),
    ("应赔偿3000元", "应当赔偿3000元", []),
    ("Apple公司", "Apple公司", ["苹果公司"]),
]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Five predictions with one reference each."""
    return [
        {
            "id": str(n), "prompt": "?", "reference": reference, "prediction": prediction,
            "response_nll": 1.5 + n, "response_tokens": 3, "new_tokens": 4 * n, "capped": n == 2,
        }
        for n, (prediction, reference) in enumerate(PAIRS)
    ]  # fmt: skip


@pytest.fixture
def several(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same predictions with none to two further references."""
    return [row | ({"references": texts} if texts else {}) for row, texts in zip(rows, FURTHER, strict=True)]


@pytest.fixture
def chinese() -> list[dict[str, Any]]:
    return [{"prediction": p, "reference": r, "references": more} for p, r, more in CHINESE]
