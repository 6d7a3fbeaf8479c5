import torch

from benchmarks.attention import GROUPS, HEADS, WIDTH, compare, ours, theirs


def test_both_sides_compute_the_same():
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn((2, heads, 7, WIDTH), generator=generator) for heads in (HEADS, GROUPS, GROUPS)]
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))


def test_the_table_has_two_rows_a_shape():
    rows = compare([(2, 8), (1, 16)], repeats=1).splitlines()[2:]
    named = [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows]
    assert named == [(shape, one) for shape in ("2 x 8", "1 x 16") for one in ("forward", "backward")]
