"""Child processes that end when this one is told to end."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_running: set[subprocess.Popen[Any]] = set()


def run_process(line: Sequence[str], log: Path, env: Mapping[str, str]) -> int:
    """Run a command to its end, and write what it says.

    Args:
        line: program and arguments.
        log: file that is written, in a new folder if need be.
        env: environment of the process.

    Returns:
        Its exit code.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file, subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT, env=env) as child:
        _running.add(child)
        try:
            return child.wait()
        finally:
            _running.discard(child)


@contextmanager
def ended_together() -> Iterator[None]:
    """What SIGTERM asks of this process it asks of its children too; here it counts as Ctrl-C, which reaches all."""

    def end(*_: Any) -> None:
        for child in list(_running):
            child.terminate()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
