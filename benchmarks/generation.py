"""Generation: a batch against a loop over samples, what stopping saves, memory, and the time for 2,000 digits.

Digits, a SmallNet of width 32 after a short adversarial training, class-wise PCA, energy targets, at most 50 steps.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.memory import peak_memory
from benchmarks.setting import Setting
from benchmarks.timing import Goal, alternate, combined, compare
from energy_at.attacks import PGD
from energy_at.data import Digits
from energy_at.generation import ClassPCA, EnergyTargets, LangevinSampler, sample_seeds
from energy_at.generation.batch_files import BatchFiles
from energy_at.generation.export import write_npz
from energy_at.generation.noise import normal
from energy_at.generation.run import Recipe, run
from energy_at.models import SmallNet

SECONDS = 30.0  # for 2,000 digits on two cores
DIGITS = 2000


def rows(setting: Setting) -> list[dict[str, Any]]:
    """Batch / loop, stopping, memory and the whole run."""
    narrow, recipe = digits_recipe(setting, 8), digits_recipe(setting, 32)
    return [
        batched(narrow, setting, "SmallNet of width 8"),
        batched(recipe, setting, "SmallNet of width 32"),
        stopping(recipe, setting),
        memory(setting),
        whole_run(recipe, setting),
    ]


def digits_recipe(setting: Setting, width: int) -> Recipe:
    """How digits are drawn from a net that is robust enough for its energies to lead somewhere."""
    images, labels = (part.to(setting.device) for part in Digits(val_size=0).arrays("train"))
    images = images / 255
    torch.manual_seed(0)
    net = SmallNet(width=width, mean=Digits.mean, std=Digits.std).to(setting.device, memory_format=torch.channels_last)
    train(net, images, labels, steps=30 if setting.quick else 300)
    targets = EnergyTargets().fit(net, images, labels)
    return Recipe(net, ClassPCA(scale=1.0).fit(images, labels), LangevinSampler(), targets, range(10))


def train(net: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    """A short adversarial training."""
    optimizer, attack = torch.optim.Adam(net.parameters(), 2e-3), PGD(eps=0.3, steps=3)
    for step in range(steps):
        rows = torch.arange(step * 64, step * 64 + 64) * 7 % len(images)  # 7 and the number of images share no factor
        x_adv = attack(net, images[rows], labels[rows])
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x_adv), labels[rows]).backward()
        optimizer.step()
    net.eval()


def batched(recipe: Recipe, setting: Setting, name: str) -> dict[str, Any]:
    """A batch of 1,000, against 100 samples one by one."""
    few, many = (40, 200) if setting.quick else (100, 1000)
    one = partial(one_by_one, recipe, torch.arange(few))
    took = alternate({"batch": partial(recipe.sample, torch.arange(many)), "loop": one}, setting, number=1)
    loop = combined((took["loop"], many / few))
    return compare(f"per-sample loop / batch, {name}", loop, took["batch"], Goal(10, least=True))


def stopping(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Time with energy targets against time without; what the net does not see should cost nothing."""
    index, free = torch.arange(200 if setting.quick else 1000), recipe._replace(targets=None)
    steps = {"targets": partial(recipe.sample, index), "all steps": partial(free.sample, index)}
    took = alternate(steps, setting, number=1)
    seen = passes(recipe, index) / passes(free, index)
    row = compare(
        "time with energy targets / all steps", took["targets"], took["all steps"], Goal(round(1.2 * seen, 3))
    )
    return row | {"images_seen_ratio": round(seen, 3)}


def passes(recipe: Recipe, index: Tensor) -> int:
    """How many images the net sees."""
    return int((recipe.sample(index).steps + 1).sum())


def one_by_one(recipe: Recipe, index: Tensor) -> list[Tensor]:
    """The textbook: for each sample, for each step."""
    return [one(recipe, i) for i in index.split(1)]


def one(recipe: Recipe, index: Tensor) -> Tensor:
    """A single sample."""
    sampler, y, seed = recipe.sampler, recipe.labels(index), sample_seeds(recipe.seed, index)
    x, stop = recipe.init.sample(y, seed), recipe.targets.sample(y, seed)
    v = torch.zeros_like(x)
    for step in range(sampler.steps):
        x.requires_grad_()
        energy = -recipe.net(x)[0, y]
        if energy <= stop:
            break
        (grad,) = torch.autograd.grad(energy, x)
        v = sampler.friction * v - sampler.step_size / 2 * grad
        noise = (2 * sampler.step_size) ** 0.5 * sampler.noise * normal(seed, step, tuple(x.shape[1:]))
        x = (x.detach() + v + noise).clamp(0, 1)
    return x.detach()


def memory(setting: Setting) -> dict[str, Any]:
    """Peak memory of 2,000 images of 32x32 written to disk in batches of 20, against that of 100."""
    images, labels = setting.batch(64)[0], torch.arange(64, device=setting.device) % 2
    init = ClassPCA().fit(images, labels)
    recipe = Recipe(setting.narrow(), init, LangevinSampler(steps=1), None, range(2))
    kept(recipe, 40)  # what the first batches bring into memory for good
    counts = (100, 400 if setting.quick else 2000)
    few, many = (peak_memory(partial(kept, recipe, n), setting.device) for n in counts)
    ratio, goal = many / few, Goal(1.2)
    return {
        "name": "peak memory, 2,000 images / 100",
        "ratio": round(ratio, 3),
        "goal": str(goal),
        "met": goal.met(ratio),
    }


def kept(recipe: Recipe, n: int) -> None:
    """A run to disk, with its npz."""
    with tempfile.TemporaryDirectory() as folder:
        files = BatchFiles(folder, {})
        run(recipe, files, n, batch_size=20)
        write_npz(Path(folder) / "images.npz", files.read(n), n)


def whole_run(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Time for 2,000 digits, written to disk, against the 30 s that it may take."""
    index = torch.arange(DIGITS // 10 if setting.quick else DIGITS)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run(recipe, BatchFiles(folder, {}), len(index), batch_size=1000)
    seconds = time.perf_counter() - start
    row = verdict(f"{len(index):,} digits / {SECONDS:.0f} s", seconds / SECONDS, Goal(1.0))
    return row | {"seconds": [round(seconds, 2)], "threads": torch.get_num_threads()}


def verdict(name: str, ratio: float, goal: Goal) -> dict[str, Any]:
    """A row that was measured once."""
    return {"name": name, "ratio": round(ratio, 3), "goal": str(goal), "met": goal.met(ratio)}
