"""``energy-at pack``."""

from pathlib import Path

from tqdm import tqdm

from energy_at.cli.lock import only_one
from energy_at.data.decoding import CACHE
from energy_at.data.folders import require_same_classes
from energy_at.data.listing import listed
from energy_at.data.shards import pack as pack_split
from energy_at.types import require_count


def pack(root: str, output: str, eval_folder: str = "val", per_shard: int = 10_000) -> None:
    """Pack a folder of images into a few large files, for ``--data ImageNet --data.shards OUTPUT``.

    The images stay as they are. A killed run goes on where it stopped when the command is given again.

    Args:
        root: folder with train/CLASS/IMAGE and the same classes in the folder of test images.
        output: folder of the shards.
        eval_folder: name of the folder with the test images.
        per_shard: images in each file.
    """
    require_count("per_shard", per_shard, 10000)
    folder, source = Path(output), Path(root)
    require_same_classes(source / "train", source / eval_folder)
    with only_one(folder):
        for split in ("train", eval_folder):
            files = listed(source / split, source / CACHE)
            with tqdm(total=len(files.labels), desc=split, unit="img") as bar:
                pack_split(files, folder, split, per_shard, bar.update)
    print(f"Packed: {folder}; train with --data ImageNet --data.shards {folder}")
