"""Commands on a disk that gets full, at any point: one sentence that names the disk, and nothing half written."""

import os
import subprocess

import pytest

from .conftest import QUICK, rows

COMMANDS = {
    "select": ("subset.jsonl", "--ratio", "0.5", "--method", "grads"),
    "probe": ("signals", "--point", "base"),
    "train": ("adapter",),
    "evaluate": ("answers.jsonl",),
}


@pytest.fixture
def disk(tmp_path):
    """Return a function that makes a small disk of so many kilobytes, in place of the last."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = []

    def make(kilobytes, options="rw"):
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,{options}", "tmpfs", str(folder)]
        if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a file system cannot be mounted here")
        made.append(folder)
        return folder

    yield make
    for one in made:
        subprocess.run(["umount", "-l", str(one)], check=True)


def attempt(grads, command, folder, model, data):
    """Run a command whose output and work folder lie in a folder; return its errors, none where it succeeded."""
    out, *options = COMMANDS[command]
    options += [] if command == "evaluate" else QUICK
    call = (command, "--model", model, "--data", data, "--out", folder / out, "--work", folder / "work", *options)
    try:
        grads(*call)
    except AssertionError:
        printed = grads(*call, status=2).output
        return [line for line in printed.splitlines() if line.startswith("error: ")]
    return []


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_gets_full_at_any_point_is_named(command, grads, data, tiny_model_folder, disk):
    failures = 0
    for kilobytes in (4, 16, 64, 200, 400, 700, 1000, 1400, 2000):
        folder = disk(kilobytes)
        errors = attempt(grads, command, folder, tiny_model_folder, data)
        if not errors:
            break
        failures += 1
        (error,) = errors
        assert f"tmpfs mounted at {folder}, " in error, (kilobytes, error)
        assert "no room is left" in error
        assert str(tiny_model_folder) not in error
        assert ".part" not in error
        # Answers are kept, whole, where only their metrics found no room.
        out = folder / COMMANDS[command][0]
        assert not out.exists() or (command == "evaluate" and len(rows(out)) == 20)
        assert not list(folder.rglob(".*.part*"))
    # It failed at several points, and in the end there was room enough.
    assert failures >= 3
    assert not errors
    assert (folder / COMMANDS[command][0]).exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(grads, data, tiny_model_folder, disk):
    folder = disk(1000, "ro")
    (error,) = attempt(grads, "select", folder, tiny_model_folder, data)
    assert str(folder) in error
    assert "ead-only" in error
