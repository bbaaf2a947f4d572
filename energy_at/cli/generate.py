"""``energy-at generate``."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning.fabric import Fabric
from tqdm import tqdm

from energy_at.cli.generation_fits import TrainingImages
from energy_at.cli.generation_output import Output
from energy_at.cli.generation_quality import Judges, Quality, load_judges
from energy_at.cli.lock import only_one
from energy_at.cli.subject import conditions, opened
from energy_at.data.base import ImageData
from energy_at.evaluation.conditions import facts
from energy_at.evaluation.runner import exact
from energy_at.files import write_file
from energy_at.generation import ClassInit, LangevinSampler
from energy_at.generation.batch_files import BatchFiles
from energy_at.generation.quality.tradeoff import Sweep, check_scaled
from energy_at.generation.run import OnBatch, Recipe, run
from energy_at.types import require


def generate(
    data: ImageData,
    init: ClassInit,
    sampler: LangevinSampler,
    n: int = 10_000,
    targets: bool = True,
    net_neighbours: bool = False,
    classes: list[int] | None = None,
    judge: str | None = None,
    features: str | None = "inception",
    inception_weights: str | None = None,
    sweep: Sweep | None = None,
    train_count: int | None = None,
    save: Literal["npz", "png"] = "npz",
    cache: str = "runs/cache",
    batch_size: int = 100,
    seed: int = 0,
    **subject: Any,
) -> None:
    """Draw images of each class from a robust classifier, and say how good they are.

    A killed run goes on where it stopped when the command is given again; a larger n adds samples.

    Args:
        data: the data set.
        init: starting points, fitted to its training images.
        sampler: takes them to low energy.
        n: images, equally many of each class.
        targets: stop each sample at the energy of a random training image of its class.
        net_neighbours: LocalPCA looks for neighbours among the net's features instead of the pixels.
        classes: to draw from; all by default.
        judge: checkpoint or dotted path of an independent classifier for the same data, which judges the images.
        features: network of IS, FID, KID, precision and recall: "inception", a checkpoint (its penultimate layer), or
            the dotted path of a network that returns features; null for none.
        inception_weights: local file of Inception's weights; they are downloaded otherwise.
        sweep: draw the trade-off of quality against diversity too; needs a judge.
        train_count: fit to and compare with so many of the training images, a random subset; all by default.
        save: one npz of uint8 images [n, H, W, C] and labels, or PNG files.
        cache: folder of fits and of features of training images, for all runs.
        batch_size: images at a time.
        seed: image i is a function of (seed, i).
        subject: the net, its processes and its folder; see ``opened``.
    """
    unknown = next((label for label in classes or () if label not in range(data.num_classes)), None)
    require(unknown is None, f"there is no class {unknown}; write classes from 0 to {data.num_classes - 1}")
    require(sweep is None or judge is not None, "sweep needs a judge; give judge: another classifier's checkpoint")
    if sweep:
        check_scaled(init)
    fabric, net, ckpt_path, folder, channels_last = opened(data, "generation", {}, **subject)
    judges = Judges(None, None)
    if fabric.is_global_zero:
        judges = load_judges(net, features, inception_weights, judge, data.num_classes)
    train = TrainingImages(data, train_count, Path(cache), fabric.device)
    with only_one(folder, fabric.is_global_zero), exact(net, fabric.device, channels_last) as net:
        recipe = Recipe(net, init, sampler, None, classes or range(data.num_classes), seed)
        with fabric.rank_zero_first(local=True):
            recipe, setting = train.recipe(recipe, net_neighbours, targets)
        files = BatchFiles(folder / "batches", setting)
        speed = made(recipe, files, n, batch_size, fabric)
        if fabric.is_global_zero:
            about = conditions(data, "train", len(train.bytes[1]), ckpt_path) | facts(net, fabric.device, seed)
            about |= {"channels_last": channels_last}
            report: dict[str, Any] = {"n": n, "images_per_second": speed, "conditions": about, "settings": setting}
            results, quality = Output(folder, files, n, class_names(data)), Quality(files, n, train, judges)
            write_results(results, recipe, save, report)
            write_quality(results, quality, report)
            if sweep:
                points = quality.tradeoff(recipe, sweep, batch_size)
                results.write_tradeoff(points, report["quality"]["judge_of_test_images"])
            print(f"\n{table(report)}\nResults: {folder}")


def made(recipe: Recipe, files: BatchFiles, n: int, batch_size: int, fabric: Fabric) -> float | None:
    """Make the samples that are missing, all processes together.

    Returns:
        Images per second of all processes; None if there were none to make.
    """
    shard = (fabric.global_rank, fabric.world_size)
    left, start = sum(map(len, files.missing(n, batch_size))), time.perf_counter()
    with progress(sum(map(len, files.missing(n, batch_size, shard))), fabric.is_global_zero) as on_batch:
        run(recipe, files, n, batch_size, shard, on_batch)
    fabric.barrier()
    return round(left / (time.perf_counter() - start), 2) if left else None


@contextmanager
def progress(total: int, shown: bool) -> Iterator[OnBatch]:
    """A bar of images and images/s.

    Args:
        total: images that this process has to make.
        shown: false on all processes but the first.
    """
    with tqdm(total=total, unit="img", disable=not shown) as bar:
        yield bar.update


def write_results(output: Output, recipe: Recipe, save: Literal["npz", "png"], report: dict[str, Any]) -> None:
    """Images, pictures and energies; nothing that is said about them later can lose them."""
    report["images"] = str(output.write_images(save))
    output.write_chains()
    output.write_energies(None if recipe.targets is None else recipe.targets["energies"].cpu())
    report["chains"] = output.numbers.summary(recipe.sampler.steps)
    write_report(output, report)


def write_quality(output: Output, quality: Quality, report: dict[str, Any]) -> None:
    """What is to be said about the images, and what each of them lies nearest to."""
    near = quality.nearest_training_images()
    output.write_samples(near)
    output.write_copies(near, quality.train.bytes[0])
    report["quality"] = quality.report(near)
    write_report(output, report)


def write_report(output: Output, report: dict[str, Any]) -> None:
    """``generation.json``."""
    write_file(output.folder / "generation.json", json.dumps(report, indent=2) + "\n")


def class_names(data: ImageData) -> list[str]:
    """Of the labels; their numbers where the data set has no names."""
    return list(data.class_names) or [str(label) for label in range(data.num_classes)]


def table(report: dict[str, Any]) -> str:
    """The numbers for the screen."""
    chains, quality = report["chains"], report["quality"]
    spaces = {f"nearest training image, {space}": found for space, found in quality["copies"].items()}
    judged = {part: found for part, found in quality.items() if part != "copies"}
    parts = {"samples": {"images": report["n"]} | chains} | judged | spaces
    rows = [
        (f"{part}: {name}", f"{value:.3f}" if isinstance(value, float) else str(value))
        for part, numbers in parts.items()
        for name, value in numbers.items()
        if isinstance(value, int | float)
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value.rjust(8)}".replace("_", " ") for name, value in rows)
