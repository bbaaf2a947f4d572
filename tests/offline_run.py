"""What an offline run of Weights & Biases has kept, read from its file: LevelDB's log of protobuf records."""

import struct
import time

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def the_run_in(folder):
    """The file of the one offline run in W&B's folder, which it may be a moment late to make."""
    until = time.monotonic() + 30
    while not (found := list(folder.glob("offline-run-*/run-*.wandb"))):
        assert time.monotonic() < until, f"there is no offline run in {folder}"
        time.sleep(0.05)
    (path,) = found
    return path


def records(path):
    """Every record of ``run-ID.wandb`` of a finished run, whose file W&B may be a moment late to end."""
    until = time.monotonic() + 30
    while True:
        found = list(parsed(path.read_bytes()))
        if found and found[-1].HasField("exit"):
            return found
        assert time.monotonic() < until, f"{path} does not end with the run's exit"
        time.sleep(0.05)


def parsed(content):
    """The records of a file's bytes, as far as they are there."""
    place, parts = HEAD, b""
    assert content[:4] == b":W&B"
    while place + HEAD <= len(content):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + HEAD])
        if place + HEAD + size > len(content):
            return  # it is being written
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        parts += content[place + HEAD : place + HEAD + size]
        place += HEAD + size
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def values(items):
    """Names and JSON texts of what was logged, set or configured."""
    return {(list(item.nested_key) or [item.key])[0]: item.value_json for item in items}
