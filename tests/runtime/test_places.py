"""What is said of a place that files cannot be written to."""

import contextlib
import errno
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from grads.runtime import places
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, write_json, write_text
from grads.runtime.places import Mount, mount_of, naming_place, place_sentence, size

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")


@pytest.fixture
def mounted(tmp_path):
    """Return a function that mounts a small file system of so many kilobytes, or a read-only one."""
    made = []

    def mount(name, *options):
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a file system cannot be mounted here")
        made.append(folder)
        return folder

    yield mount
    for folder in made:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def raised(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011 of any library
        call()
    return caught.value


def test_the_words_of_numpy_torch_pyarrow_safetensors_and_tokenizers_are_understood(tmp_path):
    """Each writes to a device that is always full."""
    import numpy as np
    import pandas as pd
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models

    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    numbers = np.zeros(1 << 20)
    writers = {
        "python": lambda: full.write_text("x" * (1 << 20)),
        "numpy": lambda: np.save(full.open("wb"), numbers),
        "torch": lambda: torch.save(torch.zeros(1 << 20), full),
        "pyarrow": lambda: pd.DataFrame({"a": numbers}).to_parquet(full),
        "csv": lambda: pd.DataFrame({"a": numbers}).to_csv(full),
        "tokenizers": lambda: Tokenizer(models.BPE({"a": 0}, [])).save(str(full)),
    }
    for name, write in writers.items():
        error = raised(write)
        sentence = place_sentence(error, [tmp_path / "out"])
        assert sentence is not None, (name, repr(error))
        assert str(tmp_path) in sentence, name
        assert str(mount_of(tmp_path)) in sentence, name
    # Safetensors maps the file, so the device cannot stand for a full disk.
    error = raised(lambda: save_file({"a": torch.zeros(9)}, tmp_path / "no" / "x"))
    assert place_sentence(type(error)("I/O error: No space left on device (os error 28)"), [tmp_path]) is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize(
    "words", ["[Errno {0}] {1}", "Error while serializing: I/O error: {1} (os error {0})", "write failed: {1}"]
)
def test_what_a_place_lacks_is_known_by_number_and_by_words(number, words, tmp_path):
    for error in (OSError(number, os.strerror(number)), ValueError(words.format(number, os.strerror(number)))):
        sentence = place_sentence(error, [tmp_path / "results"])
        assert sentence.startswith(f"{tmp_path / 'results'} ")
        assert f"mounted at {mount_of(tmp_path).point}" in sentence
        assert " free of " in sentence


def test_the_target_of_a_copy_is_named_and_not_its_source(tmp_path):
    error = OSError(errno.ENOSPC, "No space left on device", "in/weights", None, str(tmp_path / "out" / "weights"))
    sentence = place_sentence(error, [tmp_path])
    assert sentence.startswith(f"{tmp_path / 'out'} ")
    assert "in/weights" not in sentence


@needs_root
def test_a_real_copy_that_does_not_fit_names_its_target(mounted, tmp_path):
    (tmp_path / "in").write_bytes(bytes(1 << 20))
    folder = mounted("small", "size=64k")
    sentence = place_sentence(raised(lambda: shutil.copyfile(tmp_path / "in", folder / "out")), [tmp_path])
    assert sentence.startswith(f"{folder} ")
    assert str(tmp_path / "in") not in sentence


def test_an_error_that_another_came_of_is_found_unless_it_was_dealt_with(tmp_path):
    def broken(hidden):
        try:
            raise OSError(errno.ENOSPC, "no room")
        except OSError as error:
            raise RuntimeError("the archive is not whole") from (None if hidden else error)

    assert place_sentence(raised(lambda: broken(False)), [tmp_path]) is not None
    assert place_sentence(raised(lambda: broken(True)), [tmp_path]) is None


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (
        KeyError("x"),
        OSError("no number"),
        PermissionError(errno.EPERM, "of a process, not of a file"),
        FileNotFoundError(errno.ENOENT, "gone", str(tmp_path / "absent")),
        GradsError("a sentence"),
        BrokenPipeError(errno.EPIPE, "pipe"),
    ):
        assert place_sentence(error, [tmp_path]) is None
        with pytest.raises(type(error)), naming_place(tmp_path):
            raise error


def test_a_file_that_could_not_be_read_on_the_way_to_a_bug_is_not_its_reason(tmp_path):
    def broken():
        try:
            raise PermissionError(errno.EACCES, "denied", "/root/.cache")
        except OSError:
            raise KeyError("bug")  # noqa: B904

    assert place_sentence(raised(broken), [tmp_path]) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EIO])
def test_what_one_path_lacks_is_said_of_it(number, tmp_path):
    sentence = place_sentence(OSError(number, "x", str(tmp_path / "file")), [tmp_path / "other"])
    assert sentence.startswith(f"{tmp_path / 'file'}: {os.strerror(number)}")


def test_of_several_places_the_fullest_is_named(tmp_path, monkeypatch):
    free = {str(tmp_path / name): room for name, room in (("a", 10), ("b", 0), ("c", 5))}
    real = os.statvfs(tmp_path)

    def statvfs(folder):
        return os.statvfs_result((1, 1, 1000, 10, free.get(str(folder), 9), 0, 0, 0, real.f_flag & ~os.ST_RDONLY, 255))

    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(places.os, "statvfs", statvfs)
    sentence = place_sentence(OSError(errno.ENOSPC, "x"), [tmp_path / name for name in "abc"])
    assert sentence.startswith(f"{tmp_path / 'b'} cannot be written to: no room")
    assert "0 B free of 1.0 kB" in sentence


def test_no_folder_for_temporary_files_is_a_sentence(tmp_path):
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']")
    assert "TMPDIR" in place_sentence(error, [tmp_path])


def test_a_failed_write_names_the_folder_and_leaves_nothing(tmp_path, monkeypatch):
    out = tmp_path / "out" / "table.csv"
    with (
        pytest.raises(GradsError, match=f"^{out.parent} cannot be written to") as caught,
        atomic_path(out) as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert list(out.parent.iterdir()) == []

    # The disk may be full only when the file is flushed.
    def fsync(_descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(GradsError, match="quota"):
        write_json(out, {"a": 1})
    assert list(out.parent.iterdir()) == []


def test_the_folder_of_what_is_not_finished_is_not_named(tmp_path):
    with pytest.raises(GradsError, match=f"^{tmp_path} cannot"), atomic_path(tmp_path / "model") as folder:
        folder.mkdir()
        write_with(lambda _path: fail(errno.ENOSPC), folder / "sub" / "weights")


def fail(number):
    raise OSError(number, os.strerror(number))


def test_a_folder_that_is_removed_while_it_is_written_to_is_a_sentence(tmp_path):
    folder = tmp_path / "study"
    with pytest.raises(GradsError, match=f"^{folder} was removed"), atomic_path(folder / "x") as temporary:
        temporary.write_text("x")
        shutil.rmtree(folder)
    assert not folder.exists()
    write_text(folder / "x", "again")


def test_sizes():
    found = [size(count) for count in (0, 999, 1000, 34_500, 1_250_000, 230e9)]
    assert found == ["0 B", "999 B", "1.0 kB", "34.5 kB", "1.2 MB", "230.0 GB"]


MOUNTS = "rootfs / ext4 rw\ntmpfs /data tmpfs rw\nnode:/x /data/my\\040results nfs4 rw\nother /data lustre rw\n"


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/home/x", Mount(Path("/"), "ext4")),
        ("/data/a", Mount(Path("/data"), "lustre")),
        ("/data/my results/a/b", Mount(Path("/data/my results"), "nfs4")),
        ("/database", Mount(Path("/"), "ext4")),
    ],
)
def test_the_deepest_and_last_mount_holds_a_path(path, mount, monkeypatch):
    monkeypatch.setattr(places, "_nearest_folder", lambda path: path)
    monkeypatch.setattr(Path, "read_text", lambda self, **_: MOUNTS)
    assert mount_of(path) == mount


def test_where_the_system_does_not_list_mounts_the_point_is_known(tmp_path, monkeypatch):
    known = mount_of(tmp_path).point

    def unread(self, **_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", unread)
    assert mount_of(tmp_path / "a" / "b") == Mount(known, "")


@needs_root
def test_a_full_file_system_is_named_with_its_mount(mounted):
    folder = mounted("small", "size=64k")
    for write in (
        lambda path: path.write_bytes(bytes(1 << 20)),
        lambda path: write_text(path, "x" * (1 << 20)),
        lambda path: io.FileIO(path, "w").write(bytes(1 << 20)) == 1 << 20 or path.write_bytes(bytes(1 << 20)),
    ):
        with pytest.raises(GradsError, match=f"^{folder} cannot be written to: no room") as caught:
            write_with(write, folder / "x")
        assert f"tmpfs mounted at {folder}, " in str(caught.value)
        with contextlib.suppress(FileNotFoundError):
            (folder / "x").unlink()
    assert list(folder.iterdir()) == []


def write_with(write, path):
    with naming_place(path.parent):
        write(path)


@needs_root
def test_a_file_system_without_room_for_names_and_a_read_only_one_are_told_apart(mounted):
    crowded = mounted("crowded", "size=1m", "nr_inodes=2")
    with pytest.raises(GradsError, match="no more files"):
        for number in range(3):
            write_text(crowded / str(number), "x")
    locked = mounted("locked", "ro")
    with pytest.raises(GradsError, match=f"^{locked} cannot be written to: the file system is read-only") as caught:
        write_text(locked / "x", "x")
    assert f"mounted at {locked}" in str(caught.value)
    with pytest.raises(GradsError, match="read-only"):
        write_text(locked / "a" / "b" / "x", "x")
