"""``energy-at generate`` as a user runs it, on the digits: its images, its numbers, its files, its mistakes."""

import csv
import json
import subprocess
import sys
from functools import cache, partial
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from torch import nn

from energy_at import ClassPCA, Digits, EnergyDescent, EnergyTargets, LangevinSampler, LocalPCA, SmallNet
from energy_at.cli import main
from energy_at.cli.config_files import packaged_configs
from energy_at.generation.chain import to_bytes
from energy_at.generation.quality.copies import copies, nearest
from energy_at.generation.quality.features import Penultimate, Plain, extract
from energy_at.generation.quality.fidelity import fidelity
from energy_at.generation.quality.judge import judged
from energy_at.generation.run import Recipe
from tests.data.standins import unchecked, write_cifar10, write_image_folder, write_imagenet

CPU, CLASSES = torch.device("cpu"), (2, 5, 8)
CONFIG = """
data: {class_path: Digits, init_args: {val_size: 0}}
init: {class_path: ClassPCA, init_args: {scale: 1.0}}
sampler: {class_path: LangevinSampler, init_args: {step_size: 0.1, steps: 6}}
net: tests.cli.test_generate.a_net
features: null
output: out
cache: cache
n: 45
classes: [2, 5, 8]
batch_size: 20
accelerator: cpu
devices: 1
"""


@cache
def a_net(seed=0):
    """A net that knows something: trained for some steps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = SmallNet(num_classes=10, in_channels=1, width=4, mean=Digits.mean, std=Digits.std)
        optimizer = torch.optim.Adam(net.parameters(), 0.02)
        for images, labels in islice(cycle(Digits(eval_batch_size=100).batches("train")), 40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images / 255), labels).backward()
            optimizer.step()
    return net.eval()


def a_judge():
    return a_net(1)


def feature_network():
    return nn.Sequential(nn.Flatten(), nn.Tanh())


def train_bytes():
    return Digits(val_size=0).arrays("train")


def held_out_bytes(count):
    return list(Digits(val_size=0).batches("test", count))


@cache
def recipe(scale=1.0, steps=6):
    images, labels = train_bytes()
    targets = EnergyTargets().fit(a_net(), images / 255, labels)
    init = ClassPCA(scale=scale).fit(images / 255, labels)
    return Recipe(a_net(), init, LangevinSampler(0.1, steps=steps), targets, CLASSES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a config in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gen.yaml").write_text(CONFIG)
    return tmp_path


def generate(*args):
    return main(["generate", "-c", "gen.yaml", *args])


def code_of(args):
    try:
        return generate(*args)
    except SystemExit as leaving:
        return leaving.code


def images_in(folder):
    with np.load(folder / "images.npz") as file:
        return torch.from_numpy(file["image"]).permute(0, 3, 1, 2), torch.from_numpy(file["label"])


def report_in(folder):
    return json.loads((folder / "generation.json").read_text())


def same_images(one, other):
    """But for rounding, which may fall on either side of a level."""
    return (one.int() - other.int()).abs().max() <= 1


def test_it_leaves_the_librarys_images_and_what_makes_them_comparable(folder, capsys):
    assert generate() == 0
    samples = recipe().sample(torch.arange(45))
    images, labels = images_in(folder / "out")
    assert same_images(images, to_bytes(samples.x))
    assert labels.tolist() == [*CLASSES] * 15
    report = report_in(folder / "out")
    assert report["chains"]["mean_steps"] == pytest.approx(float(samples.steps.double().mean()))
    assert 0 < report["chains"]["mean_steps"] < report["chains"]["step_limit"] == 6
    assert {"torch", "weights_sha256", "seed", "dtype", "data", "split_images"} <= set(report["conditions"])
    assert report["settings"]["init"]["scale"] == 1.0
    assert report["settings"]["sampler"]["step_size"] == 0.1
    printed = capsys.readouterr()
    assert "img/s" in printed.err
    assert "samples: mean steps" in printed.out


def test_it_leaves_pictures_and_tables(folder):
    assert generate() == 0
    out, samples = folder / "out", recipe().sample(torch.arange(45))
    names = {"grid.png", "energies.png", "copies.png", *(f"grids/{label}.png" for label in CLASSES)}
    for name in names:
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    with (out / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == samples.steps.tolist()
    assert [float(row["energy"]) for row in rows] == pytest.approx(samples.energies.tolist(), abs=1e-3)
    near = nearest(images_in(out)[0].flatten(1), train_bytes()[0].flatten(1))
    assert [int(row["nearest_train_index"]) for row in rows] == near.index.tolist()
    with (out / "energies.csv").open() as file:
        along = list(csv.DictReader(file))
    assert len(along) == 7
    assert int(along[0]["moving"]) == 45
    assert float(along[6]["mean"]) == pytest.approx(float(samples.energies.mean()), abs=1e-3)


def test_copies_are_told_from_real_images_never_seen(folder):
    assert generate() == 0
    reference = train_bytes()[0].flatten(1)
    held_out = torch.cat([nearest(images.flatten(1), reference).distance for images, _ in held_out_bytes(45)])
    expected = copies(nearest(images_in(folder / "out")[0].flatten(1), reference).distance, held_out)
    assert report_in(folder / "out")["quality"]["copies"]["pixels"] == pytest.approx(expected._asdict(), rel=1e-4)


def test_a_judge_says_what_the_library_says(folder):
    assert generate("--judge=tests.cli.test_generate.a_judge") == 0
    eyes = Penultimate(a_judge())
    real, samples = extract(eyes, [train_bytes()], CPU), extract(eyes, [images_in(folder / "out")], CPU)
    quality = report_in(folder / "out")["quality"]
    expected = judged(samples, real)._asdict()
    assert {name: quality["judge"][name] for name in expected} == pytest.approx(expected, rel=1e-3)
    assert 0 < quality["judge"]["agreement"] <= 1
    held_out = extract(eyes, held_out_bytes(45), CPU)
    assert quality["judge_of_test_images"]["frechet_distance"] == pytest.approx(
        judged(held_out, real).frechet_distance, rel=1e-3
    )
    assert quality["copies"]["features"]["median_distance"] == pytest.approx(
        float(nearest(samples.vectors, real.vectors).distance.median()), rel=1e-4
    )


@pytest.mark.parametrize(
    ("source", "net"),
    [("feature_network", Plain(feature_network())), ("a_judge", Penultimate(a_judge()))],
    ids=["own", "classifier"],
)
def test_fid_and_the_like_in_the_users_own_features(folder, source, net):
    assert generate(f"--features=tests.cli.test_generate.{source}") == 0
    real, samples = extract(net, [train_bytes()], CPU), extract(net, [images_in(folder / "out")], CPU)
    found = report_in(folder / "out")["quality"]["features"]
    expected = fidelity(samples, real)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert found["real_images"] == 1437
    assert ("inception_score" in found) == (source == "a_judge")


def test_without_inceptions_weights_there_is_one_message_and_the_images_are_kept(folder, capsys, monkeypatch):
    def offline(*args, **options):
        raise OSError("no network here")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", offline)
    assert generate("--features=inception") == 0
    messages = [line for line in capsys.readouterr().err.splitlines() if line.startswith("energy-at: ")]
    assert len(messages) == 1
    assert "IS, FID, KID, precision and recall are left out" in messages[0]
    assert "give their file by inception_weights, or a feature network of your own" in messages[0]
    assert len(images_in(folder / "out")[0]) == 45
    assert set(report_in(folder / "out")["quality"]) == {"copies"}


def test_images_outlive_metrics_that_fail(folder, monkeypatch):
    def broken(*args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("energy_at.cli.generation_quality.fidelity", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        generate("--features=tests.cli.test_generate.feature_network")
    assert len(images_in(folder / "out")[0]) == 45
    assert "chains" in report_in(folder / "out")


def test_png_files_and_some_classes(folder):
    assert generate("--save=png", "--classes=[3,8]", "--n=8") == 0
    names = sorted(str(path.relative_to(folder / "out" / "images")) for path in folder.rglob("images/*/*.png"))
    assert names == sorted(f"{(3, 8)[i % 2]}/{i:08d}.png" for i in range(8))


def test_a_larger_n_adds_samples_and_other_settings_are_refused(folder, capsys):
    assert generate("--n=20") == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "batches").iterdir()}
    assert generate() == 0
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert same_images(images_in(folder / "out")[0], to_bytes(recipe().sample(torch.arange(45)).x))
    assert code_of(["--sampler.steps=7"]) == 2
    assert "out/batches holds samples with sampler.steps 6, not 7" in capsys.readouterr().err
    assert len(images_in(folder / "out")[0]) == 45


def test_fits_are_made_once_for_all_runs(folder):
    assert generate("--judge=tests.cli.test_generate.a_judge") == 0
    fits = {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    kinds = sorted(path.name.split("-")[0] for path in fits)
    assert kinds == ["ClassPCA", "EnergyTargets", "features"]
    assert generate("--judge=tests.cli.test_generate.a_judge", "--init.scale=0.2", "--output=narrow") == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()} == fits
    assert same_images(images_in(folder / "narrow")[0], to_bytes(recipe(scale=0.2).sample(torch.arange(45)).x))
    assert generate("--init.variance=0.5", "--output=fewer") == 0
    assert len(list((folder / "cache").iterdir())) == 4


@pytest.mark.parametrize("in_features", [False, True])
def test_local_pca_in_pixels_or_in_the_nets_features(folder, in_features):
    args = ["--init=LocalPCA", "--init.neighbours=12", "--targets=false", f"--net_neighbours={in_features}"]
    assert generate(*args) == 0
    images, labels = train_bytes()
    seen = Penultimate(a_net())
    init = LocalPCA(12, scale=1.0, features=(lambda x: seen(x)[0]) if in_features else None).fit(images / 255, labels)
    expected = recipe()._replace(init=init, targets=None).sample(torch.arange(45))
    assert same_images(images_in(folder / "out")[0], to_bytes(expected.x))
    assert ("neighbours_in" in report_in(folder / "out")["settings"]["init"]) == in_features


def test_a_part_of_the_training_images(folder):
    assert generate("--train_count=300", "--judge=tests.cli.test_generate.a_judge") == 0
    report = report_in(folder / "out")
    assert report["conditions"]["split_images"] == 300
    images, labels = (torch.cat(part) for part in zip(*Digits(val_size=0).batches("train", 300), strict=True))
    samples = (
        recipe()
        ._replace(
            init=ClassPCA(scale=1.0).fit(images / 255, labels),
            targets=EnergyTargets().fit(a_net(), images / 255, labels),
        )
        .sample(torch.arange(45))
    )
    assert same_images(images_in(folder / "out")[0], to_bytes(samples.x))


def test_a_sweep_draws_the_tradeoff(folder):
    sweep = ["--sweep.scales=[0.2,1.0]", "--sweep.steps=[0,6]", "--sweep.n=45"]
    assert generate("--judge=tests.cli.test_generate.a_judge", *sweep) == 0
    with (folder / "out" / "tradeoff.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["scale"], row["steps"]) for row in rows] == [("0.2", "0"), ("0.2", "6"), ("1.0", "0"), ("1.0", "6")]
    run = report_in(folder / "out")["quality"]["judge"]  # of the very same samples
    assert float(rows[3]["frechet_distance"]) == pytest.approx(run["frechet_distance"], rel=1e-3)
    assert (folder / "out" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")


CONFIGS = sorted(path.name for path in packaged_configs().glob("generate_*.yaml"))
WRITERS = {"cifar10": write_cifar10, "cifar10jpeg": partial(write_image_folder, n_train=40, n_test=20)}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_packaged_config_generates_from_data_in_its_real_format(folder, name):
    args = ["--net=energy_at.models.SmallNet", "--net.width=2", "--n=20", "--output=out", "--cache=cache"]
    if "LocalPCA" in (packaged_configs() / name).read_text():
        args.append("--init.neighbours=8")
    data = name.removesuffix(".yaml").split("_")[1]
    if data in WRITERS:
        WRITERS[data]("data")
        args.append("--data.root=data")
    with unchecked():
        assert main(["generate", "-c", name, *args, "--features=null", "--accelerator=cpu", "--devices=1"]) == 0
    assert len(images_in(folder / "out")[0]) == 20
    text = (packaged_configs() / name).read_text()
    assert text.startswith("# ")
    assert "arXiv" in text or "our choice" in text


def test_images_too_large_for_memory_are_fitted_to_in_part(folder, capsys, monkeypatch):
    write_imagenet("data")
    options = ["image_size=16", "resize=20", "num_classes=3", "num_workers=0", "val_size=0", "root=data"]
    data = ["--data=ImageNet", *(f"--data.{option}" for option in options)]
    net = ["--net=energy_at.models.SmallNet", "--net.width=2"]
    monkeypatch.setattr("energy_at.cli.generation_fits.MOST_GIGABYTES", 13 * 3 * 16 * 16 / 1e9)
    assert generate(*data, *net, "--classes=[0,1,2]", "--n=9") == 2
    assert "give train_count" in capsys.readouterr().err
    assert generate(*data, *net, "--classes=[0,1,2]", "--train_count=12", "--n=9") == 0
    assert images_in(folder / "out")[0].shape == (9, 3, 16, 16)
    assert report_in(folder / "out")["conditions"]["split_images"] == 12


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--net=null"], "there is neither a checkpoint nor a net; give one of them"),
        (["--n=0"], "n is 0, but it counts from 1"),
        (["--batch_size=0"], "batch_size is 0"),
        (["--init=ClasPCA"], "there is no class ClasPCA; did you mean ClassPCA?"),
        (["--init.scale=-1"], "scale is -1"),
        (["--init=LocalPCA", "--init.neighbours=500"], "but a neighbourhood of 500 needs at least 500"),
        (["--init.components=200"], "but a PCA with 200 components needs at least 201"),
        (["--net_neighbours=true"], "net_neighbours is for LocalPCA, but init is ClassPCA"),
        (["--sampler.energy=free"], "energy"),
        (["--classes=[3,12]"], "there is no class 12"),
        (["--train_count=5000"], "count is 5000, but the train images are 1437"),
        (["--judge=absent.ckpt"], "there is no file absent.ckpt"),
        (["--judge=tests.cli.test_generate.a_net"], "is the net that generates, and would agree with itself"),
        (["--features=absent.absent"], "absent.absent cannot be imported"),
        (["--features=inception", "--inception_weights=absent.pth"], "there is no file absent.pth"),
        (["--sweep.n=20"], "sweep needs a judge"),
        (["--sweep.n=20", "--judge=judge.pth", "--init=UniformInit"], "UniformInit has no scale; draw this curve"),
        (["--save=jpg"], "save"),
        (["--stepz=3"], "there is no option --stepz=3; --print_config shows"),
        (["--steps=3"], "there is no option --steps=3 at this place, but of CarliniWagner, "),
    ],
)
def test_a_mistake_is_answered_in_one_line_before_anything_is_made(folder, args, words, capsys):
    assert code_of(args) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("energy-at: ")]
    assert len(error) == 1
    assert words in error[0]
    assert len(error[0]) < 300
    assert not list(folder.rglob("*.npz"))


def contents(folder):
    return {path.name: {k: v.tobytes() for k, v in np.load(path).items()} for path in folder.glob("batches/*.npz")}


def test_two_processes_share_the_work(folder):
    torch.save(a_net().state_dict(), "net.pth")
    net = ["--ckpt_path=net.pth", "--net=energy_at.models.SmallNet", "--net.width=4"]
    assert generate(*net, "--output=one") == 0
    script = folder / "main.py"  # Lightning starts the second process from the file of the first
    script.write_text("from energy_at.cli import main\nraise SystemExit(main())\n")
    command = [sys.executable, str(script), "generate", "-c", "gen.yaml", *net, "--devices=2", "--output=two"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert contents(folder / "two") == contents(folder / "one")
    assert done.stdout.count("samples: mean steps") == 1


def test_a_defended_net_draws_by_the_energy_of_the_lowered_images(folder):
    assert generate("--defense=EnergyDescent", "--defense.step_size=0.3", "--targets=false", "--n=6") == 0
    plain = recipe()._replace(net=EnergyDescent(a_net(), step_size=0.3), targets=None)
    assert same_images(images_in(folder / "out")[0], to_bytes(plain.sample(torch.arange(6)).x))
    assert json.loads((folder / "out" / "generation.json").read_text())["conditions"]["defense"]["step_size"] == 0.3
