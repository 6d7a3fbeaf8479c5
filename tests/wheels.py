"""Wheels of other people's packages, made by hand: nothing is built, and no network is needed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    version: str = "1.0",
) -> Path:
    """Write a pure wheel to a folder and return its path.

    Args:
        folder: where to.
        name: of the distribution.
        files: text by path in the wheel.
        entry_points: by group, the value of each name.
        version: of the distribution.
    """
    info = f"{name}-{version}.dist-info"
    groups = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in names.items())])
        for group, names in entry_points.items()
    ]
    every = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n\n".join(groups) + "\n",
    }
    every[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*every, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in every.items():
            archive.writestr(inner, text)
    return path


def install(wheel: Path, site: Path) -> Path:
    """Unpack a wheel to a folder that is put on Python's path, as pip does, and return the folder."""
    site.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site
