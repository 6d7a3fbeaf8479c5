"""The page docs/strategies.md, made from what the strategies declare: `python -m grads.training.documentation`."""

from pathlib import Path

from grads.runtime.files import write_text
from grads.study.parameters import section
from grads.training.strategies.contract import Strategy
from grads.training.strategies.registry import REGISTRY

PAGE = Path("docs/strategies.md")
HEAD = """\
# Training strategies

How the records that an arm keeps are trained on. Every strategy goes with every selection method:

```yaml
arms:
  grads_stm: {method: grads, ratios: [0.05], strategy: stm}
  grads_low: {method: grads, ratios: [0.05], strategy: low_lr, strategy_parameters: {factor: 0.05}}
  grads_long: {method: grads, ratios: [0.05], match: steps}
  grads_rank4: {method: grads, ratios: [0.05], training: {adapter: {rank: 4}, stop: 0.5}}
```

All else is the study's `training`, the same for every arm, unless the arm's own `training` says otherwise: it may set
epochs, learning rate, warm-up, weight decay, the adapter's shape, and `stop`, the share of the run after which it ends
as an early checkpoint would. Another rank keeps alpha / rank. What decides which records there are, which of them a
step takes and what computes it is refused there. Whatever makes a run's settings others than the study's, the arm
itself or its strategy (`low_lr`, `dropout`), tables mark the arm and name the settings: next to the others it is no
fair comparison of selections.

Where tokens or records count differently, a step's loss is
the weighted sum of their negative log-likelihoods over the sum of the weights of the whole global batch, so that it
does not depend on the micro-batch; what has no weight has no gradient.

`kl`, `l2_sp`, `ewc`, `eaft` and `talr` have a loss of their own, a number for each response token; a step minimises its
mean over the whole global batch in the same way, by either engine; all logits of a micro-batch are then held at once.
The first three read the base model: the untuned one, also where an arm goes on from the preliminary epoch. With an
adapter that is the model itself with the adapter switched off, which takes no memory but, for `kl`, that of a
micro-batch's logits, and for `ewc`, 8 bytes for each weight that has an adapter. With `training.weights: full` it is a
second, frozen copy in float32, 4 bytes a weight more; `l2_sp` takes as much again during a pass, and `ewc` twice as
much. The forward pass for the base model's logits, and what the Fisher information of `ewc` takes before the first
step, are part of a run's seconds and operations in the cost table.

`sdft` has the untuned model answer the domain's training records before any arm is trained: a job of its own, once for
all arms that read the answers, and charged to each of them in the cost table as signals are.

`wise_ft` trains nothing: its weights are those of another arm's run, moved back towards the base model's. The arm says
what that one says, but for the strategy; its `training.json` charges what that run's training took, which was spent
once however many arms are made of it.

`match` says what an arm has in common with the plain run on all records of the domain, and goes with every strategy:

- `epochs` (the default): each record is visited `training.epochs` times, so a smaller subset takes fewer steps.
- `steps`: what is kept is repeated, in the same seeded order with more epochs, to as many visits and optimiser steps
  as the plain run has.
- `tokens`: it is repeated until its prompts and responses have as many tokens as the plain run reads, to the end of
  that step.

The schedule spans the whole run either way. `full_steps` is the converse, full data for as many optimiser
steps as a subset takes, and has no `match`; under a strategy that adds or drops records its steps grow or shrink as its
own records do. each run's `training.json` says which strategy it had, what the strategy counted, and how often
records were visited.

This page is made from the strategies' own files by `make docs`. A strategy is one file in `grads/training/strategies/`
that declares a `STRATEGY`, as its [contract](../grads/training/strategies/contract.py) says; nothing else is edited. It
may change the settings, the records and what their tokens count (`prepare`), and the loss of a token (`loss`, of which
[kl.py](../grads/training/strategies/kl.py) is an example for predictions and
[l2_sp.py](../grads/training/strategies/l2_sp.py) for weights); it declares what it reads (`needs`), and nothing else is
computed.

| strategy | title | source | reads |
| :-- | :-- | :-- | :-- |
"""


def strategies_page() -> str:
    """Return the Markdown page of all strategies: what they declare, their module's docstring and their parameters."""
    rows = [
        f"| [`{name}`](#{name}) | {strategy.title} | {strategy.source} | {_reads(strategy)} |"
        for name, strategy in REGISTRY.own().items()
    ]
    return (
        HEAD
        + "\n".join(rows)
        + "\n"
        + "".join(section(REGISTRY, name, one.parameters) for name, one in REGISTRY.own().items())
    )


def _reads(strategy: Strategy) -> str:
    """Return what the strategy needs with its default parameters, apart from the kept records."""
    needs = strategy.needs(strategy.parameters())
    names = [f"signals `{store}`" for store in sorted(needs.stores)]
    names += ["general records"] * bool(needs.replay or needs.fisher) + ["the selection's weights"] * needs.weights
    names += ["the model's own answers"] * needs.own_answers + ["another arm's run"] * (needs.run is not None)
    names += ["the base model's logits"] * needs.base_logits + ["the base model's weights"] * needs.base_weights
    names += ["its Fisher information"] * needs.fisher
    return ", ".join(names) or "-"


def main() -> None:
    """Write the page below the working directory, which is the repository's root."""
    write_text(PAGE, strategies_page())


if __name__ == "__main__":
    main()
