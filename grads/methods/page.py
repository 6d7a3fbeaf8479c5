"""The page docs/methods.md, made from what the methods declare: `python -m grads.methods.page`."""

import importlib
from pathlib import Path

from grads.methods.contract import Method
from grads.methods.registry import methods, module_of
from grads.runtime.files import write_text
from grads.study.declared import parameters_table

PAGE = Path("docs/methods.md")
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
its own, and `encoder-<name>` the embeddings of an entry of `encoders`. Those that end in `-validation` are of
validation records, those in `-anchor` of the general instructions that `general.instructions` names. An arm with a
`scorer` reads the signals of that model instead of those of the model that is trained. No method reads test records.

The ratio `auto` keeps as many records as the method finds by itself: those whose combined gradient norm has a logarithm
within one standard deviation of the mean. Controls take the number of their `reference` arm there.

This page is made from the methods' own files by `make docs`; how to write one: [adding a method](adding-a-method.md).

| method | title | source | reads | ratio |
| :-- | :-- | :-- | :-- | :-- |
"""


def methods_page() -> str:
    """Return the Markdown page of all methods: what they declare, their module's docstring and their parameters."""
    rows = [
        f"| [`{name}`](#{name}) | {method.title} | {method.source} | {_reads(method)} | {_ratio(method)} |"
        for name, method in methods().items()
    ]
    return HEAD + "\n".join(rows) + "\n" + "".join(_section(method) for method in methods().values())


def _section(method: Method) -> str:
    module = importlib.import_module(module_of(method.name))
    path = module.__name__.replace(".", "/") + ".py"
    text = f"\n## {method.name}\n\n{(module.__doc__ or '').strip()}\n\n"
    text += f"Source: {method.source}. Code: [{path}](../{path}).\n"
    return text + parameters_table(method.parameters)


def _reads(method: Method) -> str:
    """Return what the method needs with its default parameters, beside the token counts that all get."""
    needs = method.needs(method.parameters())
    names = [f"signals `{store}`" for store in sorted(needs.stores)] + [f"arm `{arm}`" for arm in needs.arms]
    return ", ".join(names + ["target examples"] * method.uses_target) or "-"


def _ratio(method: Method) -> str:
    if method.fixed_ratio is not None:
        return f"always {method.fixed_ratio}"
    return "listed; sets the steps, all records are kept" if method.equal_steps else "listed"


def main() -> None:
    """Write the page below the working directory, which is the repository's root."""
    write_text(PAGE, methods_page())


if __name__ == "__main__":
    main()
