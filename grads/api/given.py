"""What is given in memory, written to the work folder under a name that its content has: a model, records."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from grads.runtime.errors import GradsError
from grads.runtime.files import digest, sha256_file, write_text

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Model: TypeAlias = str | Path | PreTrainedModel
    Records: TypeAlias = str | Path | Iterable[Mapping[str, Any]] | Dataset | pd.DataFrame
    Tokenizer: TypeAlias = str | Path | PreTrainedTokenizerBase

GIVEN = "given"


def model_path(model: "Model", tokenizer: "Tokenizer | None", work: Path) -> str:
    """Return how a model is named: its path, its id on the hub, or where a model in memory is written to.

    Args:
        model: a `save_pretrained` folder, a .gguf file, `owner/name` of the hub, or a model of transformers.
        tokenizer: of a model in memory: a tokenizer or its folder; that of the folder it was loaded from, if not given.
        work: the work folder.

    Raises:
        GradsError: it is none of these, has an adapter of its own, or no tokenizer is known.
    """
    if isinstance(model, str | Path):
        if tokenizer is not None:
            raise GradsError("tokenizer: it is read for a model in memory only, and a path has its own: remove it")
        return str(model)
    if not hasattr(model, "save_pretrained"):
        raise GradsError(f"model: it is a {type(model).__name__}: give a folder, owner/name or a model of transformers")
    if hasattr(model, "peft_config"):
        raise GradsError("model: it has an adapter of its own: call merge_and_unload() on it first")
    folder = work / GIVEN
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        written = Path(temporary) / "model"
        model.save_pretrained(written)
        _tokenizer_of(model, tokenizer).save_pretrained(written)
        content = {path.name: sha256_file(path) for path in sorted(written.iterdir()) if path.is_file()}
        out = folder / f"model-{digest(content, 12)}"
        if not out.is_dir():
            written.replace(out)
    return str(out)


def _tokenizer_of(model: "PreTrainedModel", tokenizer: "Tokenizer | None") -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a model in memory."""
    from transformers import AutoTokenizer

    if tokenizer is not None and not isinstance(tokenizer, str | Path):
        return tokenizer
    folder = Path(tokenizer or model.config._name_or_path or "")
    if not (folder / "tokenizer_config.json").is_file():
        named = "tokenizer" if tokenizer is not None else "model"
        raise GradsError(
            f"{named}: {folder} holds no tokenizer for the model in memory: give tokenizer=, a tokenizer or its folder"
        )
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def records_path(records: "Records", work: Path, called: str = "records") -> Path:
    """Return the file of some records: the path that is given, or where records in memory are written to.

    Args:
        records: a file or folder, dicts, a data set of the datasets library, or a data frame.
        work: the work folder.
        called: how errors call them.

    Raises:
        GradsError: they are none of these, there are none, or one of them cannot be written as JSON.
    """
    if isinstance(records, str | Path):
        return Path(records)
    from grads.data.records.lines import json_line

    rows = _rows(records, called)
    if not rows:
        raise GradsError(f"{called}: there are none: give some")
    text = "".join(json_line(row, f"{called}[{place}]") for place, row in enumerate(rows))
    out = work / GIVEN / f"{called}-{digest(text, 12)}.jsonl"
    if not out.is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, text)
    return out


def _rows(records: "Iterable[Mapping[str, Any]] | Dataset | pd.DataFrame", called: str) -> list[Mapping[str, Any]]:
    if isinstance(records, Mapping):
        names = ", ".join(map(str, list(records)[:4]))
        raise GradsError(f"{called}: it is a dict ({names}): give one split of a data set, or a list of dicts")
    kind = type(records).__name__
    # Neither library is imported to find out.
    if kind == "DataFrame":
        return list(records.to_dict("records"))  # type: ignore[union-attr]
    if not isinstance(records, Iterable):
        raise GradsError(f"{called}: it is a {kind}: give a path, a list of dicts, a Dataset or a DataFrame")
    rows = list(records)
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise GradsError(f"{called}[{place}]: it is a {type(row).__name__}, not a dict of fields")
    return rows
