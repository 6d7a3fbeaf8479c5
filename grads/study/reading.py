"""Reading a study's config, and saying what is wrong with it: all mistakes at once, a sentence each."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grads.config.kinds import check_kinds
from grads.config.mistakes import sentences
from grads.config.study import Study
from grads.config.yaml_file import check_content, read_yaml
from grads.runtime.errors import GradsError
from grads.study.naming import check_names


def read_study(path: Path | str) -> Study:
    """Read and check one config file.

    Raises:
        GradsError: the file is missing, is not YAML, or is not a valid study.
    """
    return parse_study(read_yaml(path), where=str(path))


def parse_study(content: Any, where: str = "config") -> Study:
    """Check a config that is already read.

    Raises:
        GradsError: all that is wrong, each with the key, what was found and what is valid.
    """
    if not isinstance(content, dict):
        raise GradsError(f"{where}: a study's config is a mapping with keys such as 'study', 'models', 'domains'")
    check_kinds()
    try:
        check_content(content)
        study = _validated(content)
        check_names(study)
    except GradsError as error:
        raise error.after(where) from None
    return study


def _validated(content: dict[str, Any]) -> Study:
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise GradsError(*sentences(error, Study, content)) from None
    except RecursionError:
        raise GradsError("values are nested too deep to be read: close a bracket") from None
