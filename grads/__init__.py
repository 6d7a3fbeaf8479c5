"""grads: a benchmarking harness for data selection in language-model fine-tuning.

In Python, a stage is a function. Each runs the same jobs as the command of its name, and what is finished is not run
again:

```python
import grads

signals = grads.probe("./my-model", "train.jsonl")
picked = grads.select(signals, "grads", ratio=0.05)
trained = grads.train("./my-model", "train.jsonl", picked)
scores = grads.evaluate(trained, "test.jsonl", metrics=["bleu", "chrf"])
```

`import grads` itself loads nothing else: a function is imported when it is first named.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grads.api.compare import compare
    from grads.api.evaluate import Scores, evaluate
    from grads.api.probe import Signals, load_signals, probe
    from grads.api.select import Selection, methods, select
    from grads.api.settings import Settings
    from grads.api.train import Trained, train
    from grads.config.study import Study
    from grads.runtime.errors import GradsError

__version__ = "0.2.0"
__all__ = [
    "GradsError",
    "Scores",
    "Selection",
    "Settings",
    "Signals",
    "Study",
    "Trained",
    "__version__",
    "compare",
    "evaluate",
    "load_signals",
    "methods",
    "probe",
    "select",
    "train",
]

_MODULES = {
    "GradsError": "grads.runtime.errors",
    "Scores": "grads.api.evaluate",
    "Selection": "grads.api.select",
    "Settings": "grads.api.settings",
    "Signals": "grads.api.probe",
    "Study": "grads.config.study",
    "Trained": "grads.api.train",
    "compare": "grads.api.compare",
    "evaluate": "grads.api.evaluate",
    "load_signals": "grads.api.probe",
    "methods": "grads.api.select",
    "probe": "grads.api.probe",
    "select": "grads.api.select",
    "train": "grads.api.train",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'grads' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    # The next time there is nothing to look up.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
