"""The benchmark of the head's products: that its two sides are two, and do the same."""

import pytest
import torch

from benchmarks import products
from grads.models.cpu.products import gram


def test_the_sides_differ_in_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(5, products.VOCABULARY, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = rows.float() @ rows.float().mT
    with products.plain():
        rough = gram(rows)
    torch.testing.assert_close(gram(rows), exact, rtol=1e-5, atol=1e-2)
    assert torch.equal(rough, (rows @ rows.mT).float())
    assert not torch.equal(rough, gram(rows))


def test_the_table_has_a_row_for_each_part_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "WIDTH", 8)
    rows = products.compare([5, 7], repeats=1).splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["5"] * 4 + ["7"] * 4


def test_no_size_is_fatal() -> None:
    caches = [3 * 2**power // 4 for power in range(16, 24)]
    assert not {count * products.VOCABULARY for count in products.TOKENS} & set(caches)
