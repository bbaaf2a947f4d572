"""``energy-at analyze``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from lightning.fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from energy_at.attacks import Attack
from energy_at.cli.computing import in_channels_last, suit_threads
from energy_at.cli.lock import only_one
from energy_at.cli.processes import launched, warn_of_idle
from energy_at.cli.results import kind_of, output_folder
from energy_at.cli.subject import Defense, conditions, defended
from energy_at.data.base import ImageData, Split
from energy_at.data.loaders import Loader
from energy_at.data.sampling import ChosenBatches
from energy_at.data.unlabelled import unlabelled_images
from energy_at.evaluation.analysis import measure
from energy_at.evaluation.analysis.extremes import MOST
from energy_at.evaluation.analysis.means import mean_cells, mean_rows
from energy_at.evaluation.analysis.ood import ood_cells, ood_rows
from energy_at.evaluation.analysis.probe import NATURAL
from energy_at.evaluation.analysis.report import PLATES, file_names, write_report
from energy_at.evaluation.analysis.result import Analysis
from energy_at.evaluation.analysis.smoothness import Smoothness
from energy_at.evaluation.checkpoints import load_net
from energy_at.evaluation.tables import aligned
from energy_at.evaluation.training_run import TrainingRun, metrics_beside, read_run
from energy_at.files import safe_name
from energy_at.hub.sources import best_of, is_elsewhere, plain_name
from energy_at.types import require

FigureName: TypeAlias = Literal[
    "distributions", "deltas", "confidence", "calibration", "kl", "smoothness", "classes", "ood", "extremes", "training"
]

AROUND = Smoothness()


def analyze(
    data: ImageData,
    attacks: dict[str, Attack],
    ckpt_path: str | None = None,
    nets: dict[str, str] | None = None,
    net: nn.Module | str | None = None,
    defense: Defense | None = None,
    runs: dict[str, str] | None = None,
    ood: dict[str, ImageData | str] | None = None,
    ood_attacks: dict[str, Attack] | None = None,
    figures: list[FigureName] | None = None,
    smoothness: Smoothness = AROUND,
    split: Split = "test",
    count: int | None = None,
    output: str | None = None,
    seed: int = 0,
    channels_last: bool | None = None,
    **processes: Any,
) -> None:
    """The energy picture of one net or of several side by side: figures, their numbers, and a page with all of them.

    Args:
        data: the data set.
        attacks: by the name under which they are shown.
        ckpt_path: a checkpoint of this package or the folder of a run, whose best one is taken, any file with a
            state_dict, hf://USER/NAME[@REVISION] of the Hugging Face Hub, or pretrained:NAME of this package.
        nets: several of them in its place, by the name under which they are shown.
        net: for files that do not say of which net they are: class and arguments, or the dotted path of a function or
            class that makes one; without a checkpoint, the net itself with its weights.
        defense: what changes the images before the nets classify them, such as EnergyDescent.
        runs: the metrics.csv of trainings, by name; by default those beside the checkpoints.
        ood: what the energy is to tell from the data, by the name under which it is shown: the test images of another
            data set, those of a folder and its subfolders, or an npz file of generated ones.
        ood_attacks: on their images, by name, such as a PGD of loss lower_marginal_energy; labels are the net's
            predictions.
        figures: which; all by default.
        smoothness: where to look around some of the images.
        split: which images.
        count: how many of them, a random subset that every class shares in; all by default.
        output: folder of the results; by default beside the checkpoint, or in runs where there are several.
        seed: of the attacks' noise, of the random directions and of the subset.
        channels_last: compute in NHWC memory, which is faster on a CPU and differs in the last digit; by default there,
            for nets of this package.
        processes: see ``launched``.
    """
    require(not (ckpt_path and nets), "there are ckpt_path and nets; give one net, or several by name")
    fabric = launched(**processes)
    sources: Mapping[str, str | None] = nets or {_name(ckpt_path, net): ckpt_path}
    loaded = {
        name: defended(load_net(source, _own(net), data.num_classes), defense, attacks)
        for name, source in sources.items()
    }
    suit_threads(loaded.values(), data, data.eval_batch_size, fabric.device)
    trainings = _trainings(sources, runs, figures)
    others = _others(data, ood, ood_attacks, figures)
    file_names((name, other) for name in sources for other in ("", *others))
    _prepare([data, *others.values()], fabric)
    folder = _folder(output, sources, loaded, kind_of("analysis", data, split))
    options = {"smoothness": smoothness if _wanted("smoothness", figures) else None, "class_names": data.class_names}
    own = Look(data.batches(split, count, seed), attacks, options)
    looks = {name: _other(images, data, ood_attacks or {}, count, seed) for name, images in others.items()}
    warn_of_idle(own.batches.sampler.sizes, fabric)
    told = partial(conditions, data, split, len(data.labels(split)))
    layout = in_channels_last(loaded.values(), fabric.device, channels_last)
    kept = MOST if _wanted("extremes", figures) else 0
    common = {"store": folder / "batches", "seed": seed, "channels_last": layout, "extremes": kept}
    with only_one(folder, fabric.is_global_zero):
        analyses = [
            own.at(judged, name, fabric, **common, conditions=told(sources[name])).with_ood(
                {other: look.at(judged, f"{name} on {other}", fabric, **common) for other, look in looks.items()}
            )
            for name, judged in loaded.items()
        ]
        if fabric.is_global_zero:
            plates = [plate for plate in PLATES if _wanted(plate.name, figures)]
            print(f"\n{_tables(analyses)}\nReport: {write_report(analyses, folder, plates, trainings)}")


class Look(NamedTuple):
    """Images on which nets are looked at.

    Args:
        batches: of them.
        attacks: by name.
        options: further ones of ``measure.analyze``.
    """

    batches: Loader[ChosenBatches]
    attacks: Mapping[str, Attack]
    options: Mapping[str, Any]

    def at(self, net: nn.Module, name: str, fabric: Fabric, **common: Any) -> Analysis:
        """The analysis of a net; on the first process it is of all images, which the others have put into the store.

        Args:
            net: to be analyzed.
            name: under which it is shown.
            fabric: this process among those that share the work.
            common: options of ``measure.analyze`` that do not depend on the images.
        """
        measured = partial(measure.analyze, net, self.batches, self.attacks, name, **self.options, **common)
        rank, processes = fabric.global_rank, fabric.world_size
        images = sum(self.batches.sampler.sizes[rank::processes])
        with progress(name, self.attacks, images, fabric.is_global_zero) as on_batch:
            part = measured(device=fabric.device, shard=(rank, processes), on_batch=on_batch)
        fabric.barrier()
        return measured(device=fabric.device) if processes > 1 and fabric.is_global_zero else part


def _others(
    data: ImageData,
    ood: Mapping[str, ImageData | str] | None,
    attacks: Mapping[str, Attack] | None,
    figures: list[FigureName] | None,
) -> Mapping[str, ImageData | str]:
    require(bool(ood) or not attacks, "there are ood_attacks, but no ood; give the images to be attacked")
    require(bool(ood) or "ood" not in (figures or ()), "the figure ood needs other images; give --ood.NAME FOLDER")
    for name, images in (ood or {}).items():
        shape = data.image_shape if isinstance(images, str) else images.image_shape
        require(
            shape == data.image_shape,
            f"the images of ood {name!r} are {_sides(shape)} and those of the data {_sides(data.image_shape)}; give"
            " images of the same shape, or a folder of images, which are resized",
        )
    return ood or {} if _wanted("ood", figures) else {}


def _prepare(images: Iterable[ImageData | str], fabric: Fabric) -> None:
    with fabric.rank_zero_first(local=True):
        for data in images:
            if isinstance(data, ImageData):
                data.prepare_data()


def _other(
    images: ImageData | str, data: ImageData, attacks: Mapping[str, Attack], count: int | None, seed: int
) -> Look:
    """Other images, as many as are looked at of the data, or all that there are."""
    if isinstance(images, str):
        batches: Loader[ChosenBatches] = unlabelled_images(images, data.image_shape, data.eval_batch_size, count, seed)
        told = {"data": "images", "root": images}
    else:
        images.setup("test")
        there = len(images.labels("test"))
        batches = images.batches("test", None if count is None else min(count, there), seed)
        told = conditions(images, "test", there, None)
    return Look(batches, attacks, {"labelled": False, "conditions": told})


def _sides(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _tables(analyses: Sequence[Analysis]) -> str:
    means, ood = mean_rows(analyses), ood_rows(analyses)
    tables = [aligned(mean_cells(means), left=2), *([aligned(ood_cells(ood), left=3)] if ood else [])]
    return "\n\n".join(tables)


@contextmanager
def progress(net: str, attacks: Iterable[str], images: int, shown: bool) -> Iterator[measure.OnBatch]:
    """One bar: images, natural and under every attack, images/s and the mean dE(x) of the newest batch.

    Args:
        net: its name.
        attacks: their names.
        images: that this process attacks.
        shown: false on all processes but the first.
    """
    with tqdm(total=images * len([NATURAL, *attacks]), desc=net, unit="img", disable=not shown) as bar:

        def on_batch(case: str, values: Mapping[str, Tensor]) -> None:
            delta = f" dE(x) {float(values['dE_marginal'].mean()):+.2f}" if "dE_marginal" in values else ""
            bar.set_postfix_str(f"{case}{delta}", refresh=False)
            bar.update(len(values["label"]))

        yield on_batch


def _own(net: nn.Module | str | None) -> nn.Module | str | None:
    return deepcopy(net) if isinstance(net, nn.Module) else net  # it receives the weights of each file


def _name(ckpt_path: str | None, net: nn.Module | str | None) -> str:
    if ckpt_path is None:
        return net.rpartition(".")[2] if isinstance(net, str) else type(net).__name__
    if is_elsewhere(ckpt_path):
        return plain_name(ckpt_path)
    path = best_of(ckpt_path).absolute()
    # RUN/version_0/checkpoints/best.ckpt
    return path.parents[2].name if metrics_beside(path) else path.stem


def _folder(output: str | None, sources: Mapping[str, str | None], loaded: Mapping[str, nn.Module], kind: str) -> Path:
    if len(sources) > 1:
        return Path(output or f"runs/{'-'.join(map(safe_name, sources))}-{kind}")
    ((name, source),) = sources.items()
    return output_folder(output, source, loaded[name], kind)


def _trainings(
    sources: Mapping[str, str | None], runs: Mapping[str, str] | None, figures: list[FigureName] | None
) -> list[TrainingRun]:
    if not _wanted("training", figures):
        return []
    found = {name: metrics_beside(best_of(source)) for name, source in sources.items() if source}
    paths = {name: path for name, path in found.items() if path} if runs is None else runs
    return [read_run(path, name) for name, path in paths.items()]


def _wanted(figure: str, figures: list[FigureName] | None) -> bool:
    return figures is None or figure in figures
