"""Mistakes that are answered before torch is imported."""

import subprocess
import sys

import pytest

from energy_at.cli import main
from energy_at.cli.first_look import COMMANDS, SECTIONS, FirstLookError, configs_first, expanded, first_look


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("trainer: {max_epochs: 1}\n")
    return str(path)


def test_a_run_in_the_place_of_its_checkpoint_is_answered_with_both(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    told = (
        f"{tmp_path} is a run; give {tmp_path}/checkpoints/best.ckpt, or go on with the run by energy-at fit --resume"
    )
    with pytest.raises(FirstLookError, match=told):
        first_look(["test", "-c", "digits_pgd_at.yaml", f"--ckpt_path={tmp_path}"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fitt"], "'fitt' is no command; did you mean fit?"),
        (["dance"], "'dance' is no command; use one of fit, validate, test"),
        (["fit", "--config", "cifar10_pgd_de.yaml"], "there is no config cifar10_pgd_de.yaml; give cifar10_pgd_"),
        (["fit", "-c"], "-c needs a value behind it"),
        (["evaluate", "--count", "8", "--config"], "--config needs a value behind it"),
        (["fit", "--ckpt_path", "absent.ckpt"], "there is no checkpoint absent.ckpt; give a file"),
        (["test", f"--ckpt_path={__file__}"], f"{__file__} is no checkpoint; give"),
        (["fit", "--modle.eps", "3"], "'modle' is no flag; did you mean model?"),
    ],
)
def test_a_wrong_word_is_named_with_the_right_one(args, words, capsys):
    assert main(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"energy-at: {words}")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["evaluate", "-c", "eval_digits.yaml", "--ckpt_path", ""], "--ckpt_path"),
        (["fit", "-c", "digits_pgd_at.yaml", "--trainer.default_root_dir="], "--trainer.default_root_dir"),
        (["fit", "--resume", ""], "--resume"),
        (["fit", "-c="], "-c"),
        (["push", "", "--output", "net"], "an argument"),
        (["evaluate", "--output=net", ""], "an argument"),
    ],
)
def test_what_an_unset_variable_leaves_is_refused(args, named, capsys):
    assert main(args) == 2
    assert capsys.readouterr().err.startswith(f"energy-at: {named} is empty; set the shell's variable")


def test_empty_is_meant_only_of_a_table_without_judgement():
    args = ["reproduce", "co-digits", "--evaluate=", "--name", "a="]
    assert expanded(args) == ["reproduce", "--config", "reproduce/co-digits.yaml", "--evaluate=", "--name", "a="]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("modell: {}\n", "'modell' is no section in .*did you mean model"),
        ("trainer: [1, 2\n", "is no valid YAML"),
        ("just words\n", "holds no settings; write sections"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(tmp_path, content, words):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(FirstLookError, match=words):
        first_look(["fit", "-c", str(path)])


def test_what_can_be_meant_passes(config):
    flags = [f"--{section}.key=1" for section in SECTIONS]
    assert first_look(["fit", f"--config={config}", "-c", "digits_rsfgsm_der.yaml", *flags, "--print_config"]) is None


def test_configs_come_before_flags_and_both_keep_their_order():
    args = ["--a=1", "-c", "x.yaml", "--b", "2", "--config=y.yaml", "--a=3"]
    assert configs_first(args) == ["-c", "x.yaml", "--config=y.yaml", "--a=1", "--b", "2", "--a=3"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["fit", "--trainer.max_epochs=7", "-c", "digits_pgd_at.yaml"], "  max_epochs: 7\n"),
        (["fit", "--model.attack.eps", "0.125", "--config=digits_pgd_at.yaml"], "        eps: 0.125\n"),
        (["evaluate", "--data.eval_batch_size=7", "-c", "eval_digits.yaml"], "    eval_batch_size: 7\n"),
    ],
    ids=["trainer", "model", "evaluate"],
)
def test_a_flag_wins_over_a_config_that_stands_behind_it(args, line, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*args, "--print_config"])
    assert line in capsys.readouterr().out


def test_the_sections_are_those_of_the_parser(tmp_path):
    from energy_at.cli.app import EnergyCLI, parser_options

    class OnlyParsing(EnergyCLI):
        def instantiate_classes(self):
            """The parser is all that is asked for."""

        def _run_subcommand(self, subcommand):
            """See above."""

    cli = OnlyParsing(**parser_options(), args=["fit", "--config", "digits_rsfgsm_der.yaml"])
    assert set(cli.config["fit"].as_dict()) - {"config"} == set(SECTIONS)


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["fitt"], ["fit", "-c", "absent.yaml"], []])
def test_no_heavy_library_is_imported_for_it(args):
    heavy = "{'torch', 'lightning'} & {*sys.modules}"
    script = f"import sys; from energy_at.cli import main; main({args!r}); print({heavy})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.rstrip().endswith("set()")


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("fit", "energy-at fit --resume RUN goes on"),
        ("push", "energy-at push RUN --output FOLDER"),
        ("reproduce", "energy-at reproduce co-jpeg16 takes the config reproduce/co-jpeg16.yaml"),
    ],
)
def test_a_commands_help_names_its_short_form(command, form, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert form in " ".join(capsys.readouterr().out.split())


def test_a_process_that_imports_everything_ends_without_a_word_on_stderr():
    command = [sys.executable, "-m", "energy_at", "fit", "-c", "digits_rsfgsm_der.yaml", "--print_config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "class_path: energy_at.DER" in done.stdout
