import errno
import fcntl
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from energy_at import files
from energy_at.files import WriteError, appending, as_a_whole, safe_name, write_arrays, write_file, write_torch


@pytest.mark.parametrize("content", ["täxt", b"\x00bytes"])
def test_a_file_is_written_with_its_folder_and_nothing_else(content, tmp_path):
    path = tmp_path / "new" / "file.x"
    write_file(path, "before")
    write_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(path.parent.iterdir()) == [path]


def test_a_name_can_be_part_of_a_path():
    assert safe_name("PGD-20 (eps 8/255)") == "PGD-20__eps_8_255_"


class Failing(io.FileIO):
    """A file on a disk that is full after so many bytes."""

    left = 0

    def write(self, content):
        content = memoryview(content).cast("B")
        if len(content) > Failing.left:
            super().write(content[: Failing.left])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        Failing.left -= len(content)
        return super().write(content)


def full_after(count, monkeypatch):
    Failing.left = count
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", *rest: Failing(path, mode) if mode == "wb" else opened(path, mode, *rest)
    )


NET = {"weight": torch.arange(400.0), "epoch": 3}


@pytest.mark.parametrize("write", [write_torch, write_arrays], ids=["torch", "npz"])
def test_a_failure_at_every_nth_byte_leaves_the_old_file_and_no_other(write, tmp_path, monkeypatch):
    content = NET if write is write_torch else {"weight": NET["weight"]}
    path = tmp_path / "last.ckpt"
    write(path, content)
    before = path.read_bytes()
    reason = os.strerror(errno.ENOSPC)
    for count in [*range(0, len(before), 29), len(before) - 1]:
        full_after(count, monkeypatch)
        with pytest.raises(WriteError) as failure:
            write(path, {**content, "weight": content["weight"] + 1})
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["last.ckpt"]
        assert str(failure.value) == (
            f"{path} cannot be written ({reason}); free some space and run the same command again"
        )


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_that_knows_no_locks_and_flushes_no_folders_is_written_all_the_same(
    reason, tmp_path, monkeypatch
):
    def refused(*arguments):
        raise OSError(reason, os.strerror(reason))

    fsync = os.fsync
    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(os, "fsync", lambda fd: refused() if os.path.isdir(f"/proc/self/fd/{fd}") else fsync(fd))
    left = tmp_path / f".a.{socket.gethostname()}.{2**22 + 1}.abc.tmp"  # a process that cannot exist
    left.write_bytes(b"half")
    write_file(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("before", [None, "a,b\n1,2\n"])
def test_a_row_that_breaks_off_is_cut_off(before, tmp_path):
    path = tmp_path / "rows.csv"
    if before:
        path.write_text(before)

    def append():
        with appending(path):
            with path.open("a") as file:
                file.write("3,")
            raise OSError(errno.ENOSPC, "")

    with pytest.raises(WriteError, match=r"rows\.csv cannot be written"):
        append()
    assert (path.read_text() if path.exists() else None) == before


def test_what_is_no_reason_of_the_systems_is_left_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="a mistake"), as_a_whole(tmp_path / "a"):
        raise RuntimeError("a mistake")
    assert not os.listdir(tmp_path)


def test_file_and_folder_are_flushed_before_and_after_the_new_name(tmp_path, monkeypatch):
    seen, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append("replaced"), replace(*paths)))
    write_file(tmp_path / "a", "x")
    first, then, last = seen
    assert Path(first).name.startswith(".a.")
    assert (then, last) == ("replaced", str(tmp_path))


ENDLESS = """
import sys, time
from pathlib import Path
from energy_at.files import as_a_whole
with as_a_whole(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(100)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")
    writers = [subprocess.Popen([sys.executable, "-c", ENDLESS, path], stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == b"writing\n"
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    assert path.read_bytes() == b"old"
    write_file(path, "new")
    living = [name for name in os.listdir(tmp_path) if name.startswith(".last.ckpt.")]
    assert len(living) == 1
    assert f".{writers[1].pid}." in living[0]
    writers[1].kill()
    writers[1].wait()
    write_file(path, "newer")
    assert os.listdir(tmp_path) == ["last.ckpt"]


@pytest.mark.parametrize(
    ("host", "age", "locked", "kept"), [("far", 0, False, True), ("far", 2, False, False), ("far", 2, True, True)]
)
def test_another_machines_file_is_left_alone_for_a_day(host, age, locked, kept, tmp_path):
    left = tmp_path / f".a.{host}.1.abc.tmp"
    left.write_bytes(b"half")
    then = time.time() - age * files.ABANDONED_S
    os.utime(left, (then, then))
    with left.open("rb") as held:
        if locked:
            fcntl.flock(held, fcntl.LOCK_EX)
        write_file(tmp_path / "a", "x")
    assert left.exists() == kept
    assert socket.gethostname() != host
