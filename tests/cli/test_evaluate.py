"""``energy-at evaluate`` as a user runs it, on the digits: its numbers, its files, its mistakes."""

import csv
import json
import signal
import subprocess
import sys
import time
from functools import cache
from itertools import cycle, islice

import pytest
import torch
from torch import nn

from energy_at import FGSM, PGD, Corruption, Digits, EnergyDescent, InputError, SmallNet
from energy_at.cli import main
from energy_at.cli.evaluate import chosen
from energy_at.evaluation.robustness import evaluate
from energy_at.files import safe_name

CONFIG = """
data: {class_path: Digits, init_args: {eval_batch_size: 50}}
accelerator: cpu
devices: 1
attacks:
  fgsm: {class_path: FGSM, init_args: {eps: 0.1}}
  pgd: {class_path: PGD, init_args: {eps: 0.1, steps: 3}}
"""


@cache
def a_net():
    """A net that knows something: trained for some steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = SmallNet(num_classes=10, in_channels=1, width=4, mean=Digits.mean, std=Digits.std)
        optimizer = torch.optim.Adam(net.parameters(), 0.02)
        for images, labels in islice(cycle(Digits(eval_batch_size=100).batches("train")), 40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images / 255), labels).backward()
            optimizer.step()
    return net.eval()


def tuple_net():
    class Pair(nn.Module):
        def forward(self, x):
            return x.flatten(1), x

    return Pair()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a config and a foreign state_dict in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "eval.yaml").write_text(CONFIG)
    torch.save({"state_dict": {f"module.{name}": w for name, w in a_net().state_dict().items()}}, "net.pth")
    return tmp_path


NET = ["--net=energy_at.models.SmallNet", "--net.width=4"]


def code_of(args):
    try:
        return main(args)
    except SystemExit as leaving:
        return leaving.code


def results(folder):
    content = json.loads((folder / "evaluation.json").read_text())
    return {row["name"]: row["correct"] for row in content["results"]}, content["conditions"]


def expected(count=None):
    batches = Digits(eval_batch_size=50).batches("test", count)
    report = evaluate(a_net(), batches, {"fgsm": FGSM(0.1), "pgd": PGD(0.1, steps=3)}, channels_last=True)
    return {row.name: row.correct for row in report.rows}


def test_it_writes_the_librarys_numbers_and_what_makes_them_comparable(folder, capsys):
    assert main(["evaluate", "-c", "eval.yaml", "--ckpt_path=net.pth", *NET]) == 0
    printed = capsys.readouterr()
    correct, conditions = results(folder / "net-evaluation")
    assert correct == expected()
    assert 360 > correct["clean"] > correct["fgsm"] >= correct["pgd"] > 0
    assert "Digits, 360 test images, float32, seed 0:" in printed.out
    assert f"{100 * correct['pgd'] / 360:.2f} %" in printed.out
    assert "img/s" in printed.err
    assert "robust" in printed.err
    assert {"torch", "weights_sha256", "checkpoint_sha256", "data_sha256", "seed", "dtype", "split"} <= set(conditions)
    with (folder / "net-evaluation" / "evaluation.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: int(row["correct"]) for name, row in rows.items()} == correct
    assert rows["pgd"]["attack.steps"] == "3"
    with (folder / "net-evaluation" / "evaluation_classes.csv").open() as file:
        classes = list(csv.DictReader(file))
    assert [row["name"] for row in classes] == list(Digits.class_names)
    assert sum(int(row["worst_case_correct"]) for row in classes) == correct["worst case"]
    assert f"worst class: {min(classes, key=lambda row: float(row['worst_case_accuracy']))['name']} " in printed.out
    assert rows["pgd"]["split"] == "test"


def test_a_subset_and_some_attacks_on_request(folder, capsys):
    args = ["--ckpt_path=net.pth", *NET, "--count=70", "--only=[pgd]", "--output=here"]
    assert main(["evaluate", "-c", "eval.yaml", *args]) == 0
    correct, conditions = results(folder / "here")
    assert set(correct) == {"clean", "pgd", "worst case"}
    assert {name: correct[name] for name in ("clean", "pgd")} == {n: expected(70)[n] for n in ("clean", "pgd")}
    assert conditions["split_images"] == 360
    assert conditions["channels_last"]
    assert "70 of 360 test images" in capsys.readouterr().out


def test_a_flag_adds_an_attack_and_changes_another(folder):
    args = ["--net=tests.cli.test_evaluate.a_net", "--attacks.late", "FGSM", "--attacks.pgd.steps=2", "--count=20"]
    assert main(["evaluate", "-c", "eval.yaml", *args]) == 0
    content = json.loads((folder / "runs" / "SmallNet-evaluation" / "evaluation.json").read_text())
    rows = {row["name"]: row for row in content["results"]}
    assert rows["pgd"]["settings"]["steps"] == 2
    assert rows["late"]["settings"]["eps"] == "8/255"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "there is neither a checkpoint nor a net; give one of them"),
        (["--ckpt_path=absent.ckpt"], "there is no file absent.ckpt"),
        (["--ckpt_path=eval.yaml"], "eval.yaml is no checkpoint that torch can read"),
        (["--ckpt_path=net.pth"], "net.pth holds weights but does not say of which net; give the net too"),
        (["--ckpt_path=net.pth", *NET, "--data=CIFAR10"], "net.pth does not fit the net: "),
        (["--net=tests.cli.test_evaluate.a_net", "--data=CIFAR100"], "the net has 10 classes, but the data 100"),
        (["--net=tests.cli.test_evaluate.tuple_net"], "the net returns a tuple; wrap it so that it returns logits"),
        (["--net=tests.cli.test_evaluate.absent"], "tests.cli.test_evaluate.absent cannot be imported"),
        (["--net=tests.cli.test_evaluate.a_net", "--count=400"], "count is 400, but the test images are 360"),
        (["--net=tests.cli.test_evaluate.a_net", "--only=[apgd]"], "only 'apgd' is unknown; use fgsm or pgd"),
        (["--net=tests.cli.test_evaluate.a_net", "--attacks.pgd.steps=0"], "steps is 0, but it counts from 1"),
        (["--net=tests.cli.test_evaluate.a_net", "--attacks.new", "PDG"], "there is no class PDG; did you mean PGD?"),
        (["--attacks", "PGD"], "attacks is PGD, but each one has a name; write for example --attacks.NAME PGD"),
        (
            ["--net=tests.cli.test_evaluate.a_net", "--devices=gpu"],
            "`devices` selected with `CPUAccelerator` should be",
        ),
        (["--attacks.absent.steps=3"], "under a name that no config gives; name its class too"),
        (["--net=tests.cli.test_evaluate.a_net", "--severities=[3]"], "severities are [3], but there is no corruption"),
        (["--attacks.frost", "Corruption", "--attacks.frost.kind=frost"], "frost is made of photographs, which"),
        (["--attacks.wet", "Corruption", "--attacks.wet.kind=rain"], "kind"),
        (["--data.corruption.kind=fog", "--data.corruption.severity=9"], "severity is 9, but severities are 1 to 5"),
        (["--only=fgsm"], 'only is fgsm, expected list; write "[fgsm]"'),
        (['--only="[fgsm]"'], "only is [fgsm], expected list"),
        (["--only=fgsm 10"], 'only is fgsm 10, expected list; write "[fgsm 10]"'),
        (['--count="3 4"'], "count is 3 4, expected int"),
        (["--only=[]"], "only is empty; name at least one attack"),
        (["--data.help=Foo"], "energy-at: there is no class Foo"),
        (["--accelerator=cuda"], "there is no device for --accelerator cuda here; leave it out"),
        (["--cout=3"], "there is no option --cout; did you mean --count?"),
    ],
)
def test_a_mistake_is_answered_in_one_line(folder, args, words, capsys):
    assert code_of(["evaluate", "-c", "eval.yaml", *args]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("energy-at: ")]
    assert len(error) == 1
    assert words in error[0]
    assert len(error[0]) < 300


def test_a_file_in_the_place_of_the_folder_is_named(folder, capsys):
    assert code_of(["evaluate", "-c", "eval.yaml", "--net=tests.cli.test_evaluate.a_net", "--output=eval.yaml"]) == 1
    assert "eval.yaml cannot be written (File exists); a file is where a folder has to be" in capsys.readouterr().err


def command(*args):
    return [sys.executable, "-c", "from energy_at.cli import main; raise SystemExit(main())", "evaluate", *args]


def test_a_killed_run_goes_on_with_the_same_numbers(folder):
    args = ["-c", "eval.yaml", "--ckpt_path=net.pth", *NET, "--data.eval_batch_size=20", "--attacks.pgd.steps=30"]
    whole = folder / "whole"
    assert main(["evaluate", *args, "--output=whole"]) == 0
    process = subprocess.Popen(command(*args, "--output=killed"), stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list((folder / "killed").rglob("*.npz"))) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (folder / "killed").rglob("*.npz")}
    assert not (folder / "killed" / "evaluation.json").exists()
    assert main(["evaluate", *args, "--output=killed"]) == 0
    assert results(folder / "killed") == results(whole)
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept)


def test_two_processes_count_every_image_once(folder):
    args = ["-c", "eval.yaml", "--ckpt_path=net.pth", *NET, "--count=130"]
    assert main(["evaluate", *args, "--output=one"]) == 0
    script = folder / "main.py"  # Lightning starts the second process from the file of the first
    script.write_text("from energy_at.cli import main\nraise SystemExit(main())\n")
    run = [sys.executable, str(script), "evaluate", *args, "--devices=2", "--output=two"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert results(folder / "two") == results(folder / "one")
    assert done.stdout.count("worst case") == 1


def test_a_defense_stands_before_the_net_and_says_how_to_judge_it(folder, capsys):
    defense = ["--defense=EnergyDescent", "--defense.step_size=0.3", "--defense.eps=0.3"]
    with pytest.warns(UserWarning, match="can hide gradients"):
        assert code_of(["evaluate", "-c", "eval.yaml", "--ckpt_path=net.pth", *NET, *defense, "--output=one"]) == 0
    batches = Digits(eval_batch_size=50).batches("test")
    attacks = {"fgsm": FGSM(eps=0.1), "pgd": PGD(eps=0.1, steps=3)}
    expected = evaluate(EnergyDescent(a_net(), 0.3, 0.3), batches, attacks, channels_last=True)
    found = json.loads((folder / "one" / "evaluation.json").read_text())
    assert [row["correct"] for row in found["results"]] == [row.correct for row in expected.rows]
    assert found["conditions"]["defense"] == {
        "class": "EnergyDescent",
        "step_size": 0.3,
        "eps": 0.3,
        "steps": 1,
        "backward": "exact",
        "temperature": 1.0,
    }


def test_the_same_folder_keeps_each_defense_apart(folder):
    one = ["evaluate", "-c", "eval.yaml", "--ckpt_path=net.pth", *NET, "--only=[fgsm]", "--count=100", "--output=one"]
    found = []
    for length in ("0", "2"):
        with pytest.warns(UserWarning, match="can hide gradients"):
            assert code_of([*one, "--defense=EnergyDescent", "--defense.eps=2", f"--defense.step_size={length}"]) == 0
        found.append(json.loads((folder / "one" / "evaluation.json").read_text())["results"][0]["correct"])
    assert found[0] != found[1]


def test_a_transfer_attack_has_its_own_folder_and_the_other_nets_images(folder, capsys):
    args = ["evaluate", "-c", "eval.yaml", "--ckpt_path=net.pth", "--count=40"]
    args += ["--net=energy_at.models.SmallNet", "--net.width=4"]
    assert main(args) == 0
    assert main([*args, f"--source={__name__}.a_net"]) == 0  # the same weights
    own, made = results(folder / "net-evaluation"), results(folder / f"net-transfer-from-{__name__}.a_net")
    assert own[0] == made[0]
    assert own[1]["weights_sha256"] == made[1]["weights_sha256"]
    assert main([*args, "--source=net.pth"]) == 2
    assert "does not say of which net" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:severities of corruptions are published")
def test_corruptions_have_a_row_for_each_severity_and_a_mean(folder, capsys):
    args = ["--ckpt_path=net.pth", *NET, "--attacks.fog", "Corruption", "--attacks.fog.kind=fog"]
    assert main(["evaluate", "-c", "eval.yaml", *args, "--severities=[1, 5]", "--only=[fgsm, fog]"]) == 0
    correct, conditions = results(folder / "net-evaluation")
    assert list(correct) == ["clean", "fgsm", "fog-1", "fog-5", "worst case"]
    assert correct["fgsm"] == correct["worst case"]
    content = json.loads((folder / "net-evaluation" / "evaluation.json").read_text())
    mean = (correct["fog-1"] + correct["fog-5"]) / 720
    assert content["mean_corruption_accuracy"] == pytest.approx(mean)
    assert conditions["split"] == "test"
    last = capsys.readouterr().out.splitlines()[-2].split()
    assert last == ["mean", "of", "corruptions", "no", "attack", f"{100 * mean:.2f}", "%"]


def rows_of(only, severities, **more):
    return list(chosen({"fgsm": FGSM(), "fog": Corruption("fog"), **more}, only, severities))


def test_rows_are_chosen_by_their_own_name_and_by_that_of_their_attack():
    assert rows_of(None, [1, 5]) == ["fgsm", "fog-1", "fog-5"]
    assert rows_of(["fog"], [1, 5]) == ["fog-1", "fog-5"]
    assert rows_of(["fog-5", "fgsm"], [1, 5]) == ["fgsm", "fog-5"]
    assert rows_of(["fgsm"], [1]) == ["fgsm"]  # a config's severities, which concern nothing here
    assert rows_of(None, None) == ["fgsm", "fog"]
    for severities, more in ([1, 1], {}), ([1], {"fog-1": FGSM()}):
        with pytest.raises(InputError, match="two rows would be called fog-1"):
            rows_of(None, severities, **more)
    with pytest.raises(InputError, match="only 'fog-2' is unknown; use fgsm, fog, fog-1 or fog-5"):
        rows_of(["fog-2"], [1, 5])


@pytest.mark.filterwarnings("ignore:severities of corruptions are published")
def test_a_transfer_attack_leaves_corruptions_as_they_are(folder):
    args = ["--ckpt_path=net.pth", *NET, "--attacks.fog", "Corruption", "--attacks.fog.kind=fog", "--only=[fgsm, fog]"]
    assert main(["evaluate", "-c", "eval.yaml", *args]) == 0
    assert main(["evaluate", "-c", "eval.yaml", *args, f"--source={__name__}.a_net"]) == 0
    (transferred,) = folder.glob("net-transfer-from-*")
    assert results(transferred)[0]["fog"] == results(folder / "net-evaluation")[0]["fog"]
    rows = json.loads((transferred / "evaluation.json").read_text())["results"]
    assert {row["name"]: row["settings"].get("class") for row in rows}["fog"] == "Corruption"


@pytest.mark.filterwarnings("ignore:severities of corruptions are published")
def test_attacks_on_corrupted_test_images_are_said_to_be_that(folder, capsys):
    args = ["--ckpt_path=net.pth", *NET, "--data.corruption.kind=contrast", "--data.corruption.severity=5"]
    assert main(["evaluate", "-c", "eval.yaml", *args]) == 0
    correct, conditions = results(folder / f"net-evaluation-{safe_name('contrast-5 test')}")
    assert correct["fgsm"] <= correct["clean"] < expected()["clean"]
    assert not (folder / "net-evaluation").exists()
    assert conditions["split"] == "contrast-5 test"
    assert "Digits, 360 contrast-5 test images, float32" in capsys.readouterr().out
