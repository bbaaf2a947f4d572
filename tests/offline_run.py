"""What an offline run of Weights & Biases has kept, read from its file: LevelDB's log of protobuf records."""

import struct

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    """Every record of ``run-ID.wandb``."""
    content, place, parts = path.read_bytes(), HEAD, b""
    assert content[:4] == b":W&B"
    while place + HEAD <= len(content):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + HEAD])
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
