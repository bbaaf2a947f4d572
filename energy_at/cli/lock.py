"""One command at a time in a folder of results."""

import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

from energy_at.files import writing
from energy_at.types import InputError

NAME = ".energy_at.lock"
SILENCE_S = 60.0  # after which the lock of a process on another host counts for nothing


@contextmanager
def only_one(folder: Path, first: bool = True) -> Iterator[None]:
    """Keep other commands out of a folder until this one has ended.

    The lock names host and process and shows by its time that the process lives, so it needs no locks of the file
    system. One whose process is gone is taken over: at once on the same host, on another after ``SILENCE_S`` without a
    sign of life.

    Args:
        folder: made where there is none.
        first: whether this is the first of the command's processes, which locks for all of them.

    Raises:
        InputError: if another command is at work there.
    """
    if not first:
        yield
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lease = _acquired(folder)
    try:
        yield
    finally:
        lease.release()


def _acquired(folder: Path) -> SoftFileLease:
    lease = _lease(folder)
    try:
        lease.acquire(timeout=0)
    except Timeout:
        _take_over(lease, folder)
    return lease


def _take_over(lease: SoftFileLease, folder: Path) -> None:
    """From a process that has ended unseen: whose parent has not asked for its end, or on another host."""
    owner, wait = lease.owner, 0.0
    if owner is not None and owner.hostname != _own_host():
        wait = 1.2 * SILENCE_S
        print(f"{_owner(lease)} has locked {folder}; waiting {SILENCE_S:.0f} s for a sign of life", file=sys.stderr)
    try:
        with _alone_on_this_host(folder):  # else two could break the same lock, one of them the other's new one
            owner = lease.owner
            if owner is not None and owner.hostname == _own_host() and _is_zombie(owner.pid):
                lease.force_break()
            if not wait:
                lease.acquire(timeout=0)
        if wait:
            lease.acquire(timeout=wait)
    except Timeout:
        raise _refusal(lease, folder) from None


@contextmanager
def _alone_on_this_host(folder: Path) -> Iterator[None]:
    """One process at a time, where the file system can lock a folder; where it cannot, as it comes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _refusal(lease: SoftFileLease, folder: Path) -> InputError:
    return InputError(f"{_owner(lease)} is at work in {folder}; wait for its end, or choose another folder")


def _owner(lease: SoftFileLease) -> str:
    owner = lease.owner
    return "another command" if owner is None else f"process {owner.pid} on {owner.hostname}"


def _own_host() -> str | None:
    """As a lock names it: processes of two containers do not see each other, whatever their host's name."""
    with tempfile.TemporaryDirectory() as folder, _lease(Path(folder)) as held:
        return held.owner.hostname if held.owner else None


def _lease(folder: Path) -> SoftFileLease:
    return SoftFileLease(folder / NAME, lease_duration=SILENCE_S, on_compromise=_end)


def _end(lost: LeaseCompromise) -> None:
    """End this process where another one has taken its folder, because it was silent for too long."""
    if lost.reason == "owner-changed":
        print(f"energy-at: another command has taken {Path(lost.lock_file).parent} over; ending", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGTERM)
