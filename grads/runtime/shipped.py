"""What comes with grads besides its code: the workflow, its profiles, configs and task files.

In a checkout they lie in its root. A wheel has them in `grads/shipped`, where a study finds them from any folder.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
IN_WHEEL = PACKAGE / "shipped"
SHIPPED = IN_WHEEL if (IN_WHEEL / "Snakefile").is_file() else PACKAGE.parent
"""The folder of what comes with grads."""
SNAKEFILE = SHIPPED / "Snakefile"
FOLDERS = ("config", "profiles")
"""Folders of it that a path in a config or on the command line may lead to."""


def located(path: Path | str) -> Path:
    """Return where a path that somebody wrote leads to.

    It is relative to the working folder. What is not there, and is below `config` or `profiles` of what comes with
    grads, such as `config/tasks/piqa.yaml`, is taken from there.
    """
    own = Path(path)
    if own.is_absolute() or own.exists() or own.parts[:1] not in [(name,) for name in FOLDERS]:
        return own
    shipped = SHIPPED / own
    return shipped if shipped.exists() else own


def is_shipped(path: Path | str) -> bool:
    """Return whether `located` took a path from what comes with grads."""
    return any(Path(path).is_relative_to(SHIPPED / name) for name in FOLDERS)


def written(path: Path | str) -> str:
    """Return a path as a config writes it: the same for all who have installed grads, wherever that is."""
    return str(Path(path).relative_to(SHIPPED)) if is_shipped(path) else str(path)


def snakemake_options() -> list[str]:
    """Return what tells Snakemake in which file the workflow is: nothing where it finds that by itself."""
    here = Path("Snakefile")
    return [] if here.is_file() and here.samefile(SNAKEFILE) else ["--snakefile", str(SNAKEFILE)]
