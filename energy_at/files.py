"""Files that are there as a whole or not at all."""

import errno
import fcntl
import os
import re
import socket
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from energy_at.types import InputError

ABANDONED_S = 24 * 3600  # after which another machine's unfinished file counts as left behind
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EACCES: "give the right to write there, or choose another folder",
    errno.EROFS: "choose another folder",
    errno.EIO: "check the disk",
    errno.EEXIST: "a file is where a folder has to be; choose another folder",
    errno.ENOTDIR: "a file is where a folder has to be; choose another folder",
    errno.EISDIR: "a folder is where a file has to be; choose another name",
    errno.ENOENT: "no folder can be made there; choose another one",
    errno.EPERM: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}

# what file systems of clusters may say of locks, and of flushing a folder
NO_SUCH_SERVICE = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL}


class WriteError(OSError):
    """A file could not be written; the message is one sentence with the file and the remedy."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def as_a_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside this one, which takes its place once it is whole and on the disk.

    What fails leaves an earlier file as it was. What a killed process has left behind is removed by the next one that
    writes the same file.

    Raises:
        WriteError: if the disk is full, or the file cannot be written for another reason of the system's.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_each(path.parent.glob(f".{path.name}.*.tmp"))
        temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as held:
                _lock(held)  # says that its process lives
                yield temporary
                _flush(temporary)
                os.replace(temporary, path)
            _flush_names(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def appending(path: Path) -> Iterator[None]:
    """What is appended to a file within is there as a whole: what fails is cut off again.

    Raises:
        WriteError: as ``writing`` does.
    """
    size = path.stat().st_size if path.exists() else None
    with writing(path):
        try:
            yield
        except BaseException:
            if size is None:
                path.unlink(missing_ok=True)
            else:
                os.truncate(path, size)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's reasons why a file cannot be written into one sentence.

    Raises:
        WriteError: naming file, reason and remedy.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch.save hides the system's reason behind one of its own
        reason = _system_reason(error)
        if reason is None:
            raise
        remedy = f"{REMEDIES[reason]} and run the same command again"
        raise WriteError(reason, f"{path} cannot be written ({os.strerror(reason)}); {remedy}") from error


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder where there is none.

    Args:
        path: of the file.
        content: text in UTF-8, or bytes.
    """
    with as_a_whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_arrays(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write named tensors as an npz."""
    with as_a_whole(path) as temporary, temporary.open("wb") as file:
        plain: dict[str, Any] = {name: array.cpu().numpy() for name, array in arrays.items()}
        np.savez(file, **plain)


def write_torch(path: Path, content: object) -> None:
    """Write what ``torch.save`` writes."""
    with as_a_whole(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read named tensors from an npz.

    Args:
        path: of the file.
        names: of those that are wanted; all by default.

    Raises:
        InputError: if the file is missing or damaged, or holds no array of one of the names.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in names or file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run the same command again") from error


def file_sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub("[^a-zA-Z0-9_.+-]", "_", name)


def _lock(file: IO[bytes]) -> bool:
    """Whether the file is ours now: not where another process holds it, or where the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in NO_SUCH_SERVICE
    return True


def _flush_names(folder: Path) -> None:
    """Have the system write the names in a folder to the disk, on file systems where this can be asked for."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in NO_SUCH_SERVICE:
            raise


def _flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes have left unfinished anywhere in a folder."""
    _remove_each(folder.rglob(".*.tmp"))


def _remove_each(unfinished: Iterable[Path]) -> None:
    """Those of processes that are gone."""
    for temporary in unfinished:
        with suppress(OSError):  # another process may have finished it, or be removing it too
            if _abandoned(temporary):
                temporary.unlink()


def _abandoned(temporary: Path) -> bool:
    """Whether its process is gone: no such process on this machine, or for long no word from another one."""
    owner, pid, _, _ = temporary.name.rsplit(".", 3)
    here = owner.endswith(f".{socket.gethostname()}")
    if time.time() - temporary.stat().st_mtime < ABANDONED_S and (not here or _lives(int(pid))):
        return False
    with temporary.open("r+b") as file:  # NFS locks nothing that was opened to be read
        return _lock(file)  # a process of a container beside this one may hold it


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _system_reason(error: BaseException | None) -> int | None:
    """The system's reason at the root of an error, of those that a user can do something about."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REMEDIES:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
