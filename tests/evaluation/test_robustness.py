import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from energy_at.attacks import FGSM, PGD, ThroughDefense, Transfer
from energy_at.attacks.autoattack import AutoAttack
from energy_at.evaluation import bench, runner
from energy_at.evaluation.report import AttackResult, Report, merged
from energy_at.evaluation.robustness import evaluate
from energy_at.evaluation.store import net_sha256, plain, settings, weights_sha256
from energy_at.models import SmallNet
from energy_at.types import InputError
from tests.attacks import images, labels, mlp, noisy_net
from tests.attacks.test_base import assert_same, state_of, used_net

ROOT = Path(__file__).parents[2]
SIZES = (8, 8, 8, 8, 5)


def a_net(seed=0):
    return mlp(16, 3, seed=seed, dtype=torch.float32)


def batches(seed=0):
    """Five batches, two thirds of whose labels are what ``a_net`` says."""
    net, out = a_net(), []
    for i, size in enumerate(SIZES):
        x = images(size, 1, 4, 4, seed=10 * seed + i, dtype=torch.float32)
        y = net(x).argmax(dim=1)
        y[::3] = (y[::3] + i) % 3
        out.append((x, y))
    return out


def attacks():
    return {
        "fgsm": FGSM(0.02),
        "pgd": PGD(0.03, steps=5, restarts=2),
        "pgd-l2": PGD(0.12, steps=5, norm="L2", loss="margin"),
    }


def counts(report):
    return (
        report.images,
        report.clean_correct,
        report.worst_case_correct,
        *((a.images, a.correct) for a in report.attacks),
    )


def files_in(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def towards(label):
    """An attack without noise that breaks images of the other classes."""
    return PGD(0.1, steps=5, start="zero", loss=lambda logits, y, _: logits[:, label])


def test_the_counts_are_those_of_a_plain_loop():
    net, every = a_net(), batches()
    x, y = (torch.cat(parts) for parts in zip(*every, strict=True))
    quiet = {"to-0": towards(0), "to-1": towards(1)}
    clean = net(x).argmax(dim=1) == y
    one, two = (net(attack(net, x, y)).argmax(dim=1) == y for attack in quiet.values())
    worst = (clean & one & two).sum()
    report = evaluate(net, every, quiet)
    assert counts(report) == (37, clean.sum(), worst, (37, one.sum()), (37, two.sum()))
    assert 0 < worst < min(one.sum(), two.sum())
    report = evaluate(net, every, quiet, worst_case_only=True)
    assert counts(report) == (37, clean.sum(), worst, (clean.sum(), (clean & one).sum()), ((clean & one).sum(), worst))


class Undo:
    """Stands in for an attack that turns wrong answers into right ones."""

    seed, adversarial = 0, True

    def __init__(self, net):
        self._net = net

    def __call__(self, net, x, y, generator):
        return images(len(x), 1, 4, 4, seed=99, dtype=torch.float32)


def test_an_image_wrong_without_an_attack_counts_as_broken():
    net = a_net()
    x = images(6, 1, 4, 4, seed=99, dtype=torch.float32)
    y = net(x).argmax(dim=1)
    before = [(1 - x, y)]
    report = evaluate(net, before, {"undo": Undo(net)})
    assert report.attacks[0].correct == 6
    assert report.worst_case_correct == report.clean_correct < 6


def test_uint8_images_are_the_same_images():
    every = [((x * 255).to(torch.uint8), y) for x, y in batches()]
    floats = [(x.float() / 255, y) for x, y in every]
    assert evaluate(a_net(), every, attacks()) == evaluate(a_net(), floats, attacks())


def test_labels_of_any_whole_numbers_are_the_same_labels():
    unsigned = [(x, y.to(torch.uint8)) for x, y in batches()]
    assert evaluate(a_net(), unsigned, attacks()).table() == evaluate(a_net(), batches(), attacks()).table()


def test_a_number_depends_on_seed_name_and_batch_alone():
    net, every = a_net(), batches()
    full = evaluate(net, every, attacks())
    assert evaluate(net, every, attacks()) == full
    used = attacks()
    used["pgd"](net, *every[0])
    assert evaluate(net, every, {"pgd": used["pgd"]}).attacks[0] == full.attacks[1]


@pytest.mark.parametrize("worst_case_only", [False, True])
def test_shards_add_up_to_the_whole(worst_case_only, tmp_path):
    net, every = a_net(), batches()
    whole = evaluate(net, every, attacks(), worst_case_only)
    parts = [evaluate(net, every, attacks(), worst_case_only, tmp_path, shard=(rank, 3)) for rank in range(3)]
    assert [part.images for part in parts] == [16, 13, 8]
    assert merged(parts) == whole
    before = files_in(tmp_path)
    assert evaluate(net, every, attacks(), worst_case_only, tmp_path) == whole
    assert files_in(tmp_path) == before


def test_a_process_without_a_batch_counts_nothing():
    net, every = a_net(), batches()[:1]
    parts = [evaluate(net, every, {"fgsm": FGSM(0.02)}, shard=(rank, 2)) for rank in range(2)]
    assert parts[1].images == 0
    assert merged(parts) == evaluate(net, every, {"fgsm": FGSM(0.02)})


def test_reports_of_different_questions_are_not_merged():
    one, other = (evaluate(a_net(seed), batches(), {"fgsm": FGSM(0.02)}) for seed in (0, 1))
    with pytest.raises(InputError, match="merge only shards of one evaluation"):
        merged([one, other])
    with pytest.raises(InputError, match="0 reports"):
        merged([])


def calls_made(monkeypatch):
    calls = []
    original = PGD.perturb
    monkeypatch.setattr(PGD, "perturb", lambda self, *args: calls.append(self) or original(self, *args))
    return calls


@pytest.mark.parametrize("worst_case_only", [False, True])
def test_what_the_store_holds_is_not_computed_again(worst_case_only, tmp_path, monkeypatch):
    first = evaluate(a_net(), batches(), attacks(), worst_case_only, tmp_path)
    calls = calls_made(monkeypatch)
    assert evaluate(a_net(), batches(), attacks(), worst_case_only, tmp_path) == first
    assert calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"net": a_net(1)},
        {"net": nn.Sequential(a_net(), nn.Softmax(dim=1))},
        {"attacks": {"pgd": PGD(0.04, steps=5)}},
        {"attacks": {"pgd": PGD(0.03, steps=5, loss=lambda logits, y, _: logits[:, 0])}},
        {"attacks": {"pgd": PGD(0.03, steps=5, seed=1)}},
        {"attacks": {"other": PGD(0.03, steps=5)}},
        {"batches": batches(1)},
        {"batches": [(x, (y + 1) % 3) for x, y in batches()]},
        {"seed": 1},
    ],
    ids=["weights", "layers", "eps", "loss", "attack-seed", "name", "images", "labels", "seed"],
)
def test_another_question_never_reuses_a_result(change, tmp_path, monkeypatch):
    question = {"net": a_net(), "batches": batches(), "attacks": {"pgd": PGD(0.03, steps=5)}, "store": tmp_path}
    evaluate(**question)
    calls = calls_made(monkeypatch)
    report = evaluate(**{**question, **change})
    assert len(calls) == len(SIZES)
    assert report == evaluate(**{**question, **change, "store": None})


@pytest.mark.parametrize(("results", "again"), [(bench.RESULTS, 0), ("0.2.0", len(SIZES))])
def test_results_are_taken_up_until_the_code_that_computes_them_changes(results, again, tmp_path, monkeypatch):
    question = {"net": a_net(), "batches": batches(), "attacks": {"pgd": PGD(0.03, steps=5)}, "store": tmp_path}
    first = evaluate(**question)
    monkeypatch.setattr(bench, "RESULTS", results)
    calls = calls_made(monkeypatch)
    assert evaluate(**question) == first
    assert len(calls) == again


def test_a_damaged_or_unfinished_file_is_computed_again(tmp_path):
    first = evaluate(a_net(), batches(), attacks(), store=tmp_path)
    for number, path in enumerate(tmp_path.rglob("*.npz")):
        path.write_bytes(path.read_bytes()[: 40 * (number % 3)])
    assert evaluate(a_net(), batches(), attacks(), store=tmp_path) == first


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from energy_at.attacks import PGD
from energy_at.evaluation.robustness import evaluate
from tests.evaluation.test_robustness import a_net, attacks, batches
original, calls = PGD.perturb, []
def perturb(self, *args):
    calls.append(1)
    if len(calls) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *args)
PGD.perturb = perturb
evaluate(a_net(), batches(), attacks(), worst_case_only=sys.argv[2] == "True", store=sys.argv[1])
"""


@pytest.mark.parametrize("worst_case_only", [False, True])
def test_a_killed_run_goes_on_and_gives_the_same_numbers(worst_case_only, tmp_path, monkeypatch):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(worst_case_only)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(files_in(tmp_path)) == 7  # clean and three attacks, clean and two; the third fell
    calls = calls_made(monkeypatch)
    resumed = evaluate(a_net(), batches(), attacks(), worst_case_only, tmp_path)
    assert len(calls) == 3 * len(SIZES) - 5
    assert resumed == evaluate(a_net(), batches(), attacks(), worst_case_only)


def test_the_net_its_mode_and_the_random_state_are_left_as_they_were():
    net, every = used_net(), batches()
    before = state_of(net)
    report = evaluate(net, every, {"pgd": PGD(0.05, steps=2)})
    assert_same(before, state_of(net))
    net.eval()
    assert evaluate(net, batches(), {"pgd": PGD(0.05, steps=2)}) == report


def test_half_and_double_precision_are_evaluated_in_single_and_left_as_they_are():
    net = noisy_net().eval()
    rounded = noisy_net().eval()
    rounded.load_state_dict({k: v.bfloat16() for k, v in net.state_dict().items()})
    net.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = evaluate(net, batches(), attacks())
    assert net[0].weight.dtype == torch.bfloat16
    assert counts(half) == counts(evaluate(rounded, batches(), attacks()))
    assert counts(half) == counts(evaluate(rounded.double(), batches(), attacks()))


class NoNumber(nn.Module):
    """Right on the first call's images, and no number where any pixel lies between 0 and 1 by less than 0.01."""

    def forward(self, x):
        logits = torch.stack([x.flatten(1).sum(1) * 0 + 1, x.flatten(1).sum(1) * 0], dim=1)
        return torch.where(((x > 0) & (x < 0.05)).flatten(1).any(1)[:, None], torch.nan, logits)


def test_logits_that_are_no_numbers_are_not_correct():
    x, y = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    nudge = PGD(0.02, steps=1, start="uniform", loss=lambda logits, y, _: logits[:, 1])
    report = evaluate(NoNumber(), [(x, y)], {"nudge": nudge})
    assert (report.clean_correct, report.worst_case_correct) == (4, 0)


def test_progress_is_reported_after_every_batch():
    seen = []
    report = evaluate(a_net(), batches(), attacks(), on_batch=lambda *args: seen.append(args))
    assert [args[:2] for args in seen] == [(i + 1, 5) for i in range(5)]
    assert seen[-1][2] == report.worst_case_accuracy
    seen.clear()
    evaluate(a_net(), iter(batches()), {}, shard=(1, 2), on_batch=lambda *args: seen.append(args))
    assert [args[:2] for args in seen] == [(1, None), (2, None)]


def test_the_report_holds_all_that_makes_a_number_comparable():
    report = evaluate(a_net(), batches(), attacks(), conditions={"data": "noise", "split": "test"})
    content = json.loads(report.to_json())
    told = content["conditions"]
    assert told.keys() >= {"python", "torch", "energy_at", "pyautoattack", "data_sha256"}
    known = {"seed": 0, "dtype": "float32", "device": "cpu", "data": "noise", "split": "test"}
    assert told.items() >= {**known, "weights_sha256": weights_sha256(a_net())}.items()
    pgd = content["results"][2]
    assert (pgd["name"], pgd["images"], pgd["accuracy"]) == ("pgd", 37, report.attacks[1].accuracy)
    wanted = {
        "class": "PGD",
        "eps": 0.03,
        "steps": 5,
        "restarts": 2,
        "norm": "Linf",
        "seed": 0,
        "loss": "cross_entropy",
    }
    assert pgd["settings"].items() >= wanted.items()
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["name"] for row in rows] == ["clean", "fgsm", "pgd", "pgd-l2", "worst case"]
    assert (rows[2]["attack.eps"], rows[2]["torch"], rows[0]["attack.eps"]) == ("0.03", torch.__version__, "")


def test_the_table_shows_every_row():
    ball = {"norm": "Linf", "eps": "8/255"}
    report = Report(8, 6, 2, (AttackResult("pgd", 8, 3, ball), AttackResult("skipped", 0, 0, ball)))
    assert str(report) == report.table()
    assert report.table().splitlines() == [
        "attack      threat model  images  correct  accuracy",
        "clean                          8        6   75.00 %",
        "pgd         Linf 8/255         8        3   37.50 %",
        "skipped     Linf 8/255         0        0         -",
        "worst case  Linf 8/255         8        2   25.00 %",
    ]


def test_every_class_is_counted_and_the_worst_one_named(tmp_path):
    names = ("ant", "bee", "cat")
    report = evaluate(a_net(), batches(), attacks(), class_names=names, store=tmp_path)
    y = torch.cat([y for _, y in batches()])
    right = torch.cat([a_net()(x).argmax(dim=1) == y for x, y in batches()])
    for one, k in zip(report.classes, range(3), strict=True):
        assert (one.label, one.name) == (k, names[k])
        assert (one.images, one.clean_correct) == (int((y == k).sum()), int(right[y == k].sum()))
    assert sum(one.images for one in report.classes) == report.images
    assert sum(one.clean_correct for one in report.classes) == report.clean_correct
    assert sum(one.worst_case_correct for one in report.classes) == report.worst_case_correct
    shares = [one.worst_case_accuracy for one in report.classes]
    worst = report.worst_class
    assert worst.worst_case_accuracy == min(shares) < max(shares)
    last = report.table().splitlines()[-1]
    assert last.startswith(f"worst class: {worst.name}")
    assert last.endswith(f"{100 * min(shares):.2f} %")
    rows = list(csv.DictReader(io.StringIO(report.classes_csv())))
    assert [float(row["worst_case_accuracy"]) for row in rows] == pytest.approx(shares)
    told = json.loads(report.to_json())["classes"]
    assert [(one["name"], one["worst_case_correct"]) for one in told] == [
        (one.name, one.worst_case_correct) for one in report.classes
    ]


def test_fgsm_leaves_of_a_class_what_it_leaves_of_its_images_alone():
    report = evaluate(a_net(), batches(), {"fgsm": FGSM(0.03)})
    for one in report.classes:
        alone = [(x[y == one.label], y[y == one.label]) for x, y in batches() if (y == one.label).any()]
        assert evaluate(a_net(), alone, {"fgsm": FGSM(0.03)}).worst_case_correct == one.worst_case_correct
        assert one.name == str(one.label)


def test_without_attacks_or_with_one_class_no_class_is_the_worst():
    assert evaluate(a_net(), batches(), {}).worst_class is None
    one = [(x[y == 1], y[y == 1]) for x, y in batches() if (y == 1).any()]
    assert evaluate(a_net(), one, attacks()).worst_class is None


def test_a_worst_case_over_several_balls_names_them():
    results = (AttackResult("a", 8, 3, {"norm": "Linf", "eps": 0.1}), AttackResult("b", 8, 3, {"norm": "L2", "eps": 1}))
    assert "Linf 0.1 and L2 1" in Report(8, 6, 2, results).table().splitlines()[-1]


def test_functions_are_told_apart_by_what_they_compute():
    assert plain(lambda x: x + 1) != plain(lambda x: x + 2)
    one, other = (make_loss(scale) for scale in (1, 2))
    assert plain(one) != plain(other)
    assert plain(one) == plain(make_loss(1))
    assert settings(PGD("8/255"))["eps"] == "8/255"


def make_loss(scale):
    return lambda logits, y, _: scale * logits[:, 0]


def test_a_plain_setting_of_a_layer_makes_another_net():
    one, other = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    other.load_state_dict(one.state_dict())
    assert net_sha256(one) == net_sha256(other.eval())
    other.temperature = 2.0
    assert net_sha256(one) != net_sha256(other)
    assert weights_sha256(one) == weights_sha256(other)


def test_autoattack_takes_part():
    pytest.importorskip("pyautoattack", reason="pip install 'energy-at[eval]'")
    auto = AutoAttack(0.03, version="custom", attacks=["apgd-ce", "square"], iterations=3, queries=10)
    report = evaluate(a_net(), batches()[:2], {"auto": auto}, worst_case_only=True)
    assert report.attacks[0].correct == report.worst_case_correct < report.clean_correct == report.attacks[0].images


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (AutoAttack(), "the net has 3 classes, but apgd-t needs 4"),
        (Transfer(AutoAttack(), a_net(1)), "the net has 3 classes, but apgd-t needs 4"),
        (ThroughDefense(PGD()), "Sequential is no defended net"),
    ],
)
def test_what_the_last_attack_cannot_do_is_told_before_the_first_begins(attack, message, monkeypatch):
    if "AutoAttack" in repr(attack):
        pytest.importorskip("pyautoattack", reason="pip install 'energy-at[eval]'")
    monkeypatch.setattr(FGSM, "perturb", lambda *_: pytest.fail("the first attack has begun"))
    with pytest.raises(InputError, match=f"^attack 'last': {message}"):
        evaluate(a_net(), batches(), {"first": FGSM(), "last": attack})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard": (2, 2)}, "shard is .2, 2."),
        ({"seed": -1}, "seed is -1"),
        ({"batches": []}, "no images to evaluate"),
        ({"batches": [(torch.full((2, 1, 4, 4), 1.5), labels(2, 3))]}, "images reach from 1.5 to 1.5.*normalisation"),
        ({"batches": [(torch.zeros(2, 1, 4, 4), torch.tensor([0, 3]))]}, "batch 0 has labels .0, 3.*the net 3 classes"),
        ({"batches": [(torch.zeros(2, 1, 4, 4), labels(3, 3))]}, "labels .* for 2 images"),
        ({"batches": 3}, "batches are an int; give a loader"),
        ({"batches": (torch.zeros(2, 1, 4, 4), labels(2, 3))}, "batch 0 is no pair .* but float32 .2, 1, 4, 4.; give"),
        ({"attacks": [PGD()]}, "attacks are a list; give each a name"),
        ({"attacks": {"pgd": "PGD"}}, "attack 'pgd' is a str; give an Attack"),
        ({"attacks": {"pgd": PGD}}, "attack 'pgd' is the class PGD; give an Attack"),
        ({"attacks": {"bad": lambda net, x, y, generator: x + 2}}, "attack 'bad'"),
    ],
)
def test_unfit_arguments_are_refused(change, message):
    if "bad" in change.get("attacks", ()):
        change["attacks"]["bad"].seed = 0
    with pytest.raises(InputError, match=message):
        evaluate(**{"net": a_net(), "batches": batches(), "attacks": {}, **change})


def test_tf32_is_off_while_a_gpu_computes_and_back_afterwards():
    convolution, precision = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    with runner._no_tf32():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == (convolution, precision)


def residual_batches(n=24):
    net = SmallNet(num_classes=3, width=4)
    x = images(n, 1, 8, 8, dtype=torch.float32)
    return net, [(x, net.eval()(x).argmax(dim=1))]


def test_in_nhwc_memory_the_logits_are_the_same_and_the_net_given_is_left_as_it_was():
    net, ((x, _),) = residual_batches()
    with runner.exact(net, torch.device("cpu"), channels_last=True) as exact_net:
        assert exact_net.layer1[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
        assert exact_net(x).isfinite().all()
        torch.testing.assert_close(exact_net(x), net(x), atol=1e-5, rtol=1e-5)
    assert net.layer1[0].conv2.weight.is_contiguous()


def test_results_of_both_memory_formats_are_kept_apart(tmp_path, monkeypatch):
    net, every = residual_batches()
    plain, nhwc = ({"attacks": {"fgsm": FGSM(0.1)}, "store": tmp_path, "channels_last": c} for c in (False, True))
    reports = [evaluate(net, every, **options) for options in (plain, nhwc)]
    assert counts(reports[0]) == counts(reports[1])
    assert [report.conditions["channels_last"] for report in reports] == [False, True]
    assert len(files_in(tmp_path)) == 4
    calls = calls_made(monkeypatch)
    assert [evaluate(net, every, **options) for options in (plain, nhwc)] == reports
    assert calls == []


def test_the_seed_of_autoattacks_library_is_told_and_repeats_its_images_without_us():
    from pyautoattack import AutoAttack as Library

    net, (x, y) = mlp(16, 5, dtype=torch.float32).eval(), (images(8, 1, 4, 4, dtype=torch.float32), labels(8, 5))
    options = {"version": "custom", "attacks": ["apgd-ce"]}
    report = evaluate(net, [(x[:4], y[:4]), (x[4:], y[4:])], {"aa": AutoAttack(0.1, **options)}, seed=3)
    (result,) = report.attacks
    correct = 0
    for seed, part in zip(result.settings["library_seeds"], (slice(4), slice(4, 8)), strict=True):
        library = Library(net, norm="Linf", eps=0.1, seed=seed, device="cpu", **options)
        x_adv, _ = library.run_standard_evaluation(x[part], y[part], batch_size=500)
        correct += int((net(x_adv).argmax(1) == y[part]).sum())
    assert result.correct == correct
