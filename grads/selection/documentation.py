"""The page docs/methods.md and the README's table of methods: `python -m grads.selection.documentation`.

Both are made from the registry of methods.
"""

from pathlib import Path

from grads.runtime.files import write_text
from grads.selection.contract import Method, Needs
from grads.selection.registry import REGISTRY
from grads.signals.names import GRADIENTS
from grads.study.parameters import section
from grads.study.paths import TRAIN, store_point

PAGE = Path("docs/methods.md")
README = Path("README.md")
BEGIN = "<!-- methods: made by `make docs` -->\n"
END = "<!-- end of methods -->\n"
# What the methods of a group keep, as the README's table says it. Every method is in one group.
GROUPS = {
    "GrADS, by typical gradients: with diversity and redundancy, or as a density": ("grads", "grads_density"),
    "gradient norms: the largest, or those near the median": ("grand", "moderate_gradient"),
    "error, surprise, what the instruction adds, what an epoch taught": ("el2n", "perplexity", "ifd", "delta_loss"),
    "what resembles target examples: by gradients, hidden states or words": (
        *("less", "rds_plus", "rep_sim", "g2is", "dsir", "bm25"),
    ),
    "gradients that do not conflict with general instructions": ("ogs", "ogs_rl"),
    "a subset that represents all data": ("grad_match", "pgm", "craig", "kcenter", "s2l", "clusters"),
    "quality, difficulty and diversity; some with a local stand-in for an LLM judge": (
        *("quality_diversity", "superfiltering", "thtb", "mastery", "daar", "llm_filter", "curiosity"),
    ),
    "length, a field of the records, a selection made elsewhere": ("length", "metadata", "subset"),
    "controls": ("untuned", "full", "full_steps", "random", "random_length"),
}
HEAD = """\
# Methods

What each selection method is, where it comes from, and what in it is ours. A config names a method in an arm:

```yaml
arms:
  grads: {method: grads, ratios: [0.05, 0.5]}
  grads_wide: {method: grads, ratios: [0.05], parameters: {neighbours: 50}}
```

All methods get the eligible training records with their token counts, and how many to keep: ratio x N, rounded half to
even, at least one. Scores are ordered from high to low and ties by record id; a score that is not a number is an error.
Signals are measured once per model, domain and point, however many methods read them: `base` is the model as it came,
`warm` the model after a preliminary epoch over all training records, one per seed, and `during` each record's gradients
before the step of that epoch that it belongs to; `trajectory` holds the losses of all records along a training run of
its own, `warmup` their gradients at the checkpoints of a training run on a part of them, and `encoder-<name>` the
embeddings of an entry of `encoders`. `base-validation`, `warm-validation` and `encoder-<name>-validation` are the same
of validation records, the target's examples, and those with `-anchor` of the general instructions that
`general.instructions` names. An arm with a `scorer` reads the signals of that model instead of those of the model that
is trained. No method reads test records.

So a small model can select the data for a larger one. GrADS is reported to allow this, and OGS relies on it. Compare
with the same method scored by the model itself, and with `random`:

```yaml
scorers:
  small: {title: Small, source: {kind: hub, id: owner/small, revision: 0123456789abcdef0123456789abcdef01234567}}
arms:
  random: {method: random, ratios: [0.05]}
  grads: {method: grads, ratios: [0.05]}
  grads_small: {method: grads, ratios: [0.05], scorer: small}
claims:
  - {claim: grads_small@0.05 beats random@0.05 on bleu, source: "GrADS: subsets transfer to larger models"}
```

What a method's signals cost, with its defaults, is given in passes over the training records: E is the preliminary
epoch of training, F a pass forward, B one forward and backward. `during` is an epoch in which each step takes the
gradients beforehand, T the training run of a trajectory with a pass forward at each checkpoint, W a warm-up on a part
of the records with a pass forward and backward over all at each checkpoint. F(encoder) goes through a sentence encoder,
F(answers) over the answers without their questions, and passes over other records say whose they are. Tables have what
each arm took, alone and as it was shared.

In each section, what is certain of a method comes first, then what in it is ours. Methods with a ‡ see examples of the
target task. Those that "may keep fewer" than asked for are marked in tables where they do.

The ratio `auto` keeps as many records as the method finds by itself: those whose combined gradient norm has a logarithm
within one standard deviation of the mean, with `cut: score` those of at least the mean score, or those of a given file.
Controls take the number of their `reference` arm there.

Densities of up to 5,000 records are summed over all pairs. Of more they are estimated on a grid, where they have one or
two dimensions (`exact: true` has the sum of `grads_density` all the same). The largest relative error at any of 20,000
points, and what both put among the densest 5 %:

| points | in one dimension | shared | in two | shared |
| :-- | :-- | :-- | :-- | :-- |
| normal | 6e-10 | 100 % | 2e-4 | 100 % |
| lognormal, as gradient norms are | 3e-8 | 100 % | 4e-3 | 99.7 % |
| Cauchy, ruled by a few far outliers | 1e-6 | 99.9 % | 3e-2 | none |

What a choice came to is in its selection's JSON, under `notes`: how much of it another bandwidth would keep
(`grads_density`), the mean lengths of a control and its reference (`random_length`), how many records of equal weight
the weights amount to (`effective_records` of every method that returns some), and whatever else a section below names.

What cannot be asked for: `kcenter`, `craig` and `s2l` in another space than their own, so no moderate coreset
(`superfiltering` has facility location over embeddings, `clusters` shares of their clusters);
several target tasks in `rds_plus`. What was chosen or scored elsewhere comes in by `subset` and `metadata`.

This page is made from the methods' own files by `make docs`; how to write one: [extending](extending.md#a-method).

| method | title | source | reads | cost | ratio |
| :-- | :-- | :-- | :-- | :-- | :-- |
"""


def methods_page() -> str:
    """Return the Markdown page of all methods: what they declare, their module's docstring and their parameters."""
    rows = [
        f"| [`{name}`](#{name}){'‡' * method.sees_target(method.shown)} | {method.title} | {method.source} | "
        f"{_reads(method)} | {cost(method.needs(method.shown))} | {_ratio(method)} |"
        for name, method in REGISTRY.own().items()
    ]
    return (
        HEAD
        + "\n".join(rows)
        + "\n"
        + "".join(section(REGISTRY, name, one.parameters) for name, one in REGISTRY.own().items())
    )


def methods_table() -> str:
    """Return the README's table: a row for each group, its methods linked to their sections."""
    rows = [
        f"| {kept} | {', '.join(f'[`{name}`]({PAGE}#{name})' for name in names)} |" for kept, names in GROUPS.items()
    ]
    return "\n".join(["| what is kept | methods |", "| :-- | :-- |", *rows]) + "\n"


def readme(page: str) -> str:
    """Return the README with its table of methods made again."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + methods_table() + END + rest.partition(END)[2]


def _reads(method: Method) -> str:
    """Return what the method needs with its default parameters, apart from the token counts that all get."""
    needs = method.needs(method.shown)
    names = [f"signals `{store}`" for store in sorted(needs.stores)] + [f"arm `{arm}`" for arm in needs.arms]
    names += [f"texts `{split}`" for split in sorted(needs.texts)] + ["a file"] * bool(needs.files)
    return ", ".join(names) or "-"


def cost(needs: Needs) -> str:
    """Return the passes that the signals take, by the letters that the page explains."""
    points = {store.partition("-")[0] for store in needs.stores}
    trained = {"warm": "E", "during": "during", "trajectory": "T", "warmup": "W"}
    passes = [letter for point, letter in trained.items() if point in points]
    for store, held in sorted(needs.stores.items()):
        point, encoder, records = store_point(store)
        if encoder is not None:
            passes.append("F(encoder)" if records == TRAIN else f"F(encoder, {records})")
        elif point in ("base", "warm"):
            passes.append(("B" if GRADIENTS & held else "F") + f"({records})" * (records != TRAIN))
        passes += ["F(answers)"] * ("unconditional" in held)
    return " + ".join(passes) or "-"


def _ratio(method: Method) -> str:
    if method.fixed_ratio is not None:
        return f"always {method.fixed_ratio}"
    if method.equal_steps:
        return "listed; sets the optimiser steps, for which all records are kept"
    return (
        "listed"
        + ", auto" * (method.automatic_count(method.shown) is not None)
        + ("; may keep fewer" * method.may_fall_short)
    )


def main() -> None:
    """Write both below the working directory, which is the repository's root."""
    write_text(PAGE, methods_page())
    write_text(README, readme(README.read_text("utf-8")))


if __name__ == "__main__":
    main()
