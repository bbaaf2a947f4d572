"""Two commands in one folder: the second is told who is at work there; what a dead one left keeps nobody out."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from energy_at.cli import lock, main
from energy_at.cli.lock import only_one
from energy_at.types import InputError
from tests.cli.test_app import SMALL
from tests.cli.test_evaluate import folder as work  # noqa: F401  (a fixture)

RACE = """
import os, signal, sys, time
from pathlib import Path
from energy_at.cli.lock import NAME, only_one
from energy_at.types import InputError

folder = Path(sys.argv[1])
killed = os.fork()
if killed == 0:
    with only_one(folder):
        time.sleep(100)
while not (folder / NAME).exists():
    time.sleep(0.01)
time.sleep(0.2)
os.kill(killed, signal.SIGKILL)  # and nobody asks for its end
start, racers = time.time() + 0.5, []
for _ in range(6):
    racers.append(os.fork())
    if racers[-1] == 0:
        time.sleep(start - time.time())
        try:
            with only_one(folder):
                time.sleep(1)
        except InputError:
            os._exit(2)
        os._exit(0)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(racer, 0)[1]) for racer in racers))
"""
HOLD = """
import sys, time
from pathlib import Path
from energy_at.cli import lock
lock.SILENCE_S = float(sys.argv[2])
with lock.only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""
ANOTHER_HOSTS = "filelock/2\npid=123\nhost=node7\nmode=lease\ntoken=abc\nduration={}\n"


@contextmanager
def another(folder, silence=60.0):
    """Another process that holds a folder."""
    line = [sys.executable, "-c", HOLD, str(folder), str(silence)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_living_process_is_named_and_a_dead_one_is_taken_over(tmp_path):
    with another(tmp_path) as process:
        reason = f"process {process.pid} on .* is at work in {tmp_path}; wait for its end, or choose another folder"
        with pytest.raises(InputError, match=reason), only_one(tmp_path):
            pass
        process.kill()
        process.wait()
        assert os.listdir(tmp_path) == [lock.NAME]
        with only_one(tmp_path), pytest.raises(InputError, match=f"process {os.getpid()} on"), only_one(tmp_path):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for the state of a process")
def test_a_dead_process_for_which_nobody_has_waited_keeps_nobody_out(tmp_path):
    with another(tmp_path) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and still known to the system
        with only_one(tmp_path):
            assert f"pid={os.getpid()}" in (tmp_path / lock.NAME).read_text()
        assert os.listdir(tmp_path) == []


def test_a_process_of_another_host_counts_as_long_as_it_gives_signs_of_life(tmp_path, monkeypatch, capsys):
    silence = 1.0
    monkeypatch.setattr(lock, "SILENCE_S", silence)
    (tmp_path / lock.NAME).write_text(ANOTHER_HOSTS.format(silence))
    with only_one(tmp_path):
        pass
    assert capsys.readouterr().err == f"process 123 on node7 has locked {tmp_path}; waiting 1 s for a sign of life\n"
    with another(tmp_path, silence) as process:
        host = socket.gethostname()
        monkeypatch.setattr(lock, "_own_host", lambda: "node8")
        reason = f"process {process.pid} on {host}.* is at work"
        with pytest.raises(InputError, match=reason), only_one(tmp_path):
            pass
        assert process.poll() is None


def test_only_the_first_of_a_commands_processes_locks(tmp_path):
    with another(tmp_path), only_one(tmp_path, first=False):
        assert os.listdir(tmp_path) == [lock.NAME]


def test_a_process_whose_folder_was_taken_over_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lock, "SILENCE_S", 0.6)
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    try:
        with only_one(tmp_path):
            (tmp_path / "other").write_text(ANOTHER_HOSTS.format(0.6))
            os.replace(tmp_path / "other", tmp_path / lock.NAME)
            for _ in range(200):
                time.sleep(0 if told else 0.05)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [True]
    assert capsys.readouterr().err == f"energy-at: another command has taken {tmp_path} over; ending\n"
    assert "node7" in (tmp_path / lock.NAME).read_text()  # which is not ours to remove


@pytest.mark.parametrize("command", ["evaluate", "analyze", "generate"])
def test_a_second_command_in_a_folder_is_refused(command, work, capsys):  # noqa: F811
    few = {"generate": ["generate_digits.yaml", "--features=null", "--n=10"]}
    config = few.get(command, ["eval.yaml", "--count=9"])
    args = ["-c", *config, "--ckpt_path=net.pth", "--net=SmallNet", "--net.width=4", "--output=out"]
    with another(work / "out"):
        assert main([command, *args]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"energy-at: process \d+ on \S+ is at work in out; wait for its end, or choose .*", said)
    assert os.listdir(work / "out") == [lock.NAME]
    assert main([command, *args]) == 0
    assert lock.NAME not in os.listdir(work / "out")


def test_a_run_that_goes_on_twice_at_once_is_refused_before_anything_is_cut_off(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as warned:
        main(["fit", *SMALL])
    assert not any("is not empty" in str(warning.message) for warning in warned)
    run = tmp_path / "runs" / "digits_rsfgsm_der" / "version_0"
    curves = run / "metrics.csv"
    before = curves.read_text()
    again = ["fit", "--resume", str(run), "--trainer.max_epochs=3"]
    with another(run):
        assert main(again) == 2
        assert curves.read_text() == before
    assert "is at work in" in capsys.readouterr().err.splitlines()[-1]
    assert main(again) == 0
    assert lock.NAME not in os.listdir(run)


def test_two_tables_in_a_folder_leave_each_other_what_is_at_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = "name: two\ntitle: Two\nruns: {AT: '', free: ''}\nseeds: [0]\nfit: -c digits_rsfgsm_at.yaml {}\n"
    short = "--trainer.max_epochs 1 --trainer.limit_train_batches 1 --trainer.limit_test_batches 0 --model.net.width 4"
    (tmp_path / "two.yaml").write_text(table.replace("{}", short))
    with another(tmp_path / "runs/reproduce/two/AT/seed0"):
        assert main(["reproduce", "-c", "two.yaml"]) == 2
        assert "is at work in runs/reproduce/two/AT/seed0" in capsys.readouterr().err.splitlines()[-1]
        assert "free" in (tmp_path / "runs/reproduce/two/two.csv").read_text()
    assert main(["reproduce", "-c", "two.yaml"]) == 0
    assert "AT" in (tmp_path / "runs/reproduce/two/two.csv").read_text()


def test_of_many_that_find_a_killed_one_nobody_has_waited_for_one_alone_goes_in(tmp_path):
    told = subprocess.run([sys.executable, "-c", RACE, tmp_path], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[0] == "[0, 2, 2, 2, 2, 2]"
