"""``python -m benchmarks.generation_starts``: all starting points side by side, judged by an independent classifier.

Each kind of start as it is, after fixed numbers of steps, and with each sample stopped at its energy target. Leaves
``starts.csv`` (mean and standard deviation over seeds), ``starts.md`` and ``starts.png``.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from energy_at.cli.commands import command_parser
from energy_at.cli.generation_fits import TrainingImages
from energy_at.data.base import ImageData
from energy_at.evaluation.checkpoints import load_net
from energy_at.evaluation.conditions import device_of
from energy_at.evaluation.runner import exact
from energy_at.evaluation.tables import csv_text, markdown
from energy_at.files import write_file
from energy_at.generation import ClassInit, ClassPCA, GaussianInit, LangevinSampler, LocalPCA, UniformInit
from energy_at.generation.chain import Snapshots, to_bytes
from energy_at.generation.mosaics import INCHES, show_mosaic
from energy_at.generation.quality.copies import copies, nearest
from energy_at.generation.quality.features import Features, Penultimate, extract
from energy_at.generation.quality.judge import judged
from energy_at.generation.quality.tradeoff import features_after
from energy_at.generation.run import Recipe

MEASURES = ("frechet_distance", "relative_diversity", "agreement", "nearest_train", "share_nearer", "mean_steps")

Found = dict[tuple[str, str], list[dict[str, float]]]  # by start and rule for the steps; one of each net


def study(
    data: ImageData,
    sampler: LangevinSampler,
    ckpt_paths: list[str],
    judge: str,
    output: str,
    n: int = 1000,
    after: tuple[int, ...] = (5, 20, 50),
    scales: tuple[float, ...] = (0.35, 1.0),
    neighbours: int = 30,
    train_count: int | None = None,
    cache: str = "runs/cache",
    batch_size: int = 500,
    device: str = "cpu",
) -> None:
    """Compare the starting points of a net, or of several that were trained alike.

    Args:
        data: the data set.
        sampler: its number of steps is set by ``after``.
        ckpt_paths: nets that generate, each with the seed of its place; mean and deviation are taken over them.
        judge: checkpoint of an independent classifier.
        output: folder of the results.
        n: samples of each net and kind.
        after: numbers of steps without targets; the largest is the limit with them.
        scales: of class-wise and local PCA.
        neighbours: of local PCA.
        train_count: fit to and compare with so many training images; all by default.
        cache: folder of fits and features.
        batch_size: images at a time.
        device: cpu or cuda.
    """
    place = device_of(torch.nn.Identity(), device)
    train = TrainingImages(data, train_count, Path(cache), place)
    eyes = Eyes(Penultimate(load_net(judge, num_classes=data.num_classes)), train, n)
    found, pictures = {("test images", "none"): [eyes.scores(eyes.test)]}, {}
    for seed, path in enumerate(ckpt_paths):
        with exact(load_net(path, num_classes=data.num_classes), place, channels_last=place.type == "cpu") as net:
            for name, init, in_features in tqdm(list(starts(scales, neighbours)), desc=path):
                recipe = Recipe(net, init, sampler, None, range(data.num_classes), seed)
                free, aimed = (train.recipe(recipe, in_features, targets)[0] for targets in (False, True))
                measure(found, name, free, aimed, after, eyes, batch_size)
                pictures.setdefault(name, shown(free, aimed, max(after)))
                rows = [{"start": start, "steps": rule, **summary(all_)} for (start, rule), all_ in found.items()]
                write_file(Path(output) / "starts.csv", csv_text(rows))
    write_file(Path(output) / "starts.md", table(rows))
    draw(pictures, max(after)).savefig(Path(output) / "starts.png", dpi=150)
    print(table(rows))


def starts(scales: tuple[float, ...], neighbours: int) -> Iterator[tuple[str, ClassInit, bool]]:
    """Names, unfitted starting points, and whether neighbours are those in the net's features."""
    yield "uniform noise", UniformInit(), False
    yield "class Gaussian", GaussianInit(), False
    for scale in scales:
        yield f"class PCA, scale {scale:g}", ClassPCA(scale=scale), False
    for scale in scales:
        yield f"local PCA, scale {scale:g}", LocalPCA(neighbours, scale=scale), False
    for scale in scales:
        yield f"local PCA in features, scale {scale:g}", LocalPCA(neighbours, scale=scale), True


class Eyes:
    """A judge, with what it sees in real images.

    Args:
        net: gives features and logits.
        train: the training images.
        n: test images at most, as many as samples.
    """

    def __init__(self, net: Penultimate, train: TrainingImages, n: int) -> None:
        train.data.setup("test")
        self.net, self.device, self.n = net, train.device, n
        self.real = train.features(net)
        self.test = extract(net, train.data.batches("test", min(n, len(train.data.labels("test")))), self.device)
        self.held_out = nearest(self.test.vectors, self.real.vectors).distance

    def scores(self, samples: Features, mean_steps: float = 0.0) -> dict[str, float]:
        """The judge's numbers; distances to training images are relative to those of test images."""
        found = copies(nearest(samples.vectors, self.real.vectors).distance, self.held_out)
        return judged(samples, self.real)._asdict() | {
            "nearest_train": found.median_distance / found.median_distance_real,
            "share_nearer": found.share_nearer,
            "mean_steps": mean_steps,
        }


def measure(
    found: Found, name: str, free: Recipe, aimed: Recipe, after: tuple[int, ...], eyes: Eyes, batch_size: int
) -> None:
    """Add the numbers of the starts themselves, after each number of steps, and with energy targets."""
    for recipe, steps in ((free, (0, *after)), (aimed, (max(after),))):
        features, taken = features_after(recipe, steps, eyes.n, eyes.net, eyes.device, batch_size)
        for number in steps:
            rule = f"targets, at most {number}" if recipe is aimed else str(number)
            mean_steps = float(taken.clamp(max=number).double().mean())
            found.setdefault((name, rule), []).append(eyes.scores(features[number], mean_steps))


def summary(numbers: list[dict[str, float]]) -> dict[str, float]:
    """Mean and standard deviation of each measure over the nets."""
    row = {}
    for name in MEASURES:
        values = [each[name] for each in numbers]
        row |= {name: statistics.mean(values), f"{name}_std": statistics.stdev(values) if len(values) > 1 else 0.0}
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [["start", "steps", *(name.replace("_", " ") for name in MEASURES)]]
    for row in rows:
        cells = (f"{row[name]:.2f} ± {row[name + '_std']:.2f}" for name in MEASURES)
        lines.append([row["start"], row["steps"], *cells])
    return markdown(lines)


def shown(free: Recipe, aimed: Recipe, steps: int) -> list[torch.Tensor]:
    """One sample of each of ten classes: the start, after all steps, and stopped at its target."""
    index = torch.arange(min(10, len(free.classes)))
    pictures = []
    for recipe, at in ((free, (0, steps)), (aimed, (steps,))):
        snapshots = Snapshots(at)
        sampler = LangevinSampler(**{**vars(recipe.sampler), "steps": steps})
        recipe._replace(sampler=sampler).sample(index, snapshots)
        pictures += [to_bytes(images) for images in snapshots.images().values()]
    return pictures


def draw(pictures: dict[str, list[torch.Tensor]], steps: int) -> Figure:
    """Starts in rows, classes in columns."""
    columns = len(next(iter(pictures.values()))[0])
    figure = Figure(figsize=(3 * INCHES * columns + 3.2, INCHES * len(pictures) + 0.6), layout="constrained")
    titles = ("start", f"after {steps} steps", f"stopped at energy targets, at most {steps} steps")
    for panel, axes in enumerate(figure.subplots(1, 3)):
        names = list(pictures) if panel == 0 else [""] * len(pictures)
        show_mosaic(axes, [images[panel] for images in pictures.values()], names)
        axes.set_title(titles[panel])
    return figure


if __name__ == "__main__":
    parser = command_parser(study)
    arguments = parser.parse_args()
    del arguments["config"]
    study(**vars(parser.instantiate(arguments)))
