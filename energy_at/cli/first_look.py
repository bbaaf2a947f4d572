"""A look at the arguments that needs no torch, so that a mistake is answered at once."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path

import yaml

from energy_at import __version__
from energy_at.cli.config_files import ConfigNotFoundError, find_config

LIGHTNING_COMMANDS = {
    "fit": "train, then judge the best and the last checkpoint on the test images",
    "validate": "judge a checkpoint on the validation images",
    "test": "judge a checkpoint on the test images",
}
FUNCTIONS = {
    "evaluate": "clean and robust accuracy of any net under a list of attacks",
    "analyze": "the energy picture of one or several nets: figures, their numbers and a report",
    "generate": "draw images from a robust classifier",
    "reproduce": "train and evaluate the methods of a table with several seeds",
    "push": "share a trained net on the Hugging Face Hub, with its model card",
    "dashboard": "lay out a W&B project's energy curves, or draw them from the files of runs",
    "pack": "pack a folder of images into a few large files, for file systems of clusters",
}
COMMANDS = LIGHTNING_COMMANDS | FUNCTIONS
SECTIONS = (
    "seed_everything",
    "trainer",
    "model",
    "data",
    "ckpt_path",
    "start_from",
    "weights_only",
    "energies",
    "overfitting",
    "plot",
    "best",
    "last",
    "resume_in",
)
SHORT_FORMS = {  # which `expanded` takes, and no parser knows
    "fit": "energy-at fit --resume RUN goes on where a training stopped; RUN is its folder, as runs/NAME/version_0.",
    "push": "energy-at push RUN --output FOLDER is the same as with --run RUN.",
    "reproduce": "energy-at reproduce co-jpeg16 takes the config reproduce/co-jpeg16.yaml.",
}
CONFIG_FLAGS = ("-c", "--config")
SEEDS = ("model", "data")  # sections whose seed is that of everything
EMPTY_TAKEN = "--evaluate"  # of reproduce: no judgement after the trainings
CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")
HELP = """\
energy-at {version}: adversarial training understood through energy-based models

usage: energy-at COMMAND --config FILE [--config FILE ...] [--SECTION.KEY VALUE ...]

commands:
{commands}

  energy-at fit --config digits_rsfgsm_der.yaml                  trains in about a minute on any machine
  energy-at fit -c cifar100_pgd_der.yaml -c parts/wandb.yaml     several configs merge, the later one wins
  energy-at fit -c cifar10_pgd_at.yaml --model.attack.eps 4/255  any value can be set by a flag
  energy-at fit --resume runs/NAME/version_0                     go on where a training was interrupted
  energy-at fit -c CONFIG --start_from best.ckpt                 begin with weights that exist already
  energy-at test -c CONFIG --ckpt_path runs/.../best.ckpt        judge a checkpoint
  energy-at evaluate -c eval_cifar10.yaml --ckpt_path best.ckpt  attack it by PGD-50-10, AutoAttack and others
  energy-at reproduce co-digits                                  a table of docs/results.md, with its figure
  energy-at push RUN --output FOLDER                             a trained net as a folder, with its model card
  energy-at fit -c CONFIG --print_config                         show every value
  energy-at COMMAND --help                                       show every flag

A config is a path, or the name of one that comes with the package."""


class FirstLookError(ValueError):
    """The arguments cannot be meant like this."""


def first_look(args: Sequence[str]) -> str | None:
    """Check what can be checked without the heavy libraries.

    Returns:
        Text to print in place of running anything, for ``--help`` and ``--version``; otherwise None.

    Raises:
        FirstLookError: one sentence naming mistake and remedy: an unknown command, section or config, or a config that
            is no YAML mapping.
    """
    if not args or args[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
        return HELP.format(version=__version__, commands=commands)
    if args[0] == "--version":
        return f"energy-at {__version__}"
    _check_known(args[0], COMMANDS, "command")
    lightning = args[0] in LIGHTNING_COMMANDS  # the parser knows the other commands' sections
    for name in values_of(args, *CONFIG_FLAGS):
        _check_config(name, SECTIONS if lightning else None)
    if not lightning:
        return None
    for path in values_of(args, "--ckpt_path"):
        _check_checkpoint(path)
    for arg in args[1:]:
        if arg.startswith("--"):
            _check_flag(arg[2:].split("=")[0])
    return None


def expanded(args: Sequence[str]) -> list[str]:
    """The arguments in full: a table's name stands for its definition, and a run for its config and last checkpoint.

    All configs come before all flags.

    Raises:
        FirstLookError: if the run to be resumed is none, no config follows the flag of one, or a value is empty.
    """
    _check_not_empty(args)
    command, rest = args[:1], args[1:]
    if command == ["fit"]:
        rest = _resumed(rest)
    elif rest and command[0] in FUNCTIONS and not rest[0].startswith("-"):
        rest = ["--run", *rest] if command == ["push"] else ["--config", _table(command[0], rest[0]), *rest[1:]]
    return [*command, *configs_first(rest)]


def configs_first(args: Sequence[str]) -> list[str]:
    """The same arguments with all configs before all flags, so that a flag wins over a config wherever it stands.

    Raises:
        FirstLookError: if no config follows the flag of one.
    """
    list(values_of(args, *CONFIG_FLAGS))
    configs: list[str] = []
    flags: list[str] = []
    for arg, before in zip(args, ["", *args], strict=False):
        is_config = arg.partition("=")[0] in CONFIG_FLAGS or before in CONFIG_FLAGS
        (configs if is_config else flags).append(arg)
    return configs + flags


def _table(command: str, name: str) -> str:
    return name if name.endswith(".yaml") else f"{command}/{name}.yaml"


def values_of(args: Sequence[str], *flags: str) -> Iterator[str]:
    """What follows these flags, as ``--flag value`` or ``--flag=value``.

    Raises:
        FirstLookError: if nothing follows.
    """
    for flag, value in with_values(args):
        if flag not in flags:
            continue
        if value is None:
            raise FirstLookError(f"{flag} needs a value behind it")
        yield value


def with_values(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Every argument with what follows it, as ``--flag value`` or ``--flag=value``; None behind the last one."""
    for arg, following in zip_longest(args, args[1:]):
        flag, equals, value = arg.partition("=")
        yield flag, value if equals else following


def _resumed(args: Sequence[str]) -> list[str]:
    """``--resume RUN`` in full, before all other flags, so that those win."""
    rest, runs, following = [], [], iter(args)
    for arg in following:
        flag, equals, value = arg.partition("=")
        if flag == "--resume":
            runs.append(value if equals else next(following, ""))
        else:
            rest.append(arg)
    if not runs:
        return rest
    run = Path(runs[-1] or "RUN")
    config, checkpoint = run / "config.yaml", run / "checkpoints" / "last.ckpt"
    for needed in (config, checkpoint):
        if not needed.is_file():
            raise FirstLookError(f"{run} cannot be resumed: there is no {needed}; give a folder as runs/NAME/version_0")
    return [f"--config={config}", f"--ckpt_path={checkpoint}", *rest]


def _check_not_empty(args: Sequence[str]) -> None:
    """What a shell makes of a variable that is not set would be taken for the present folder, or for no name."""
    for arg, before in zip(args, ["", *args], strict=False):
        flag, equals, value = arg.partition("=")
        if arg and not (flag.startswith("-") and equals and not value):
            continue
        named = flag or (before if before.startswith("-") and "=" not in before else "an argument")
        if named != EMPTY_TAKEN:
            raise FirstLookError(f"{named} is empty; set the shell's variable behind it, or leave it out")


def _check_config(name: str, sections: Sequence[str] | None) -> None:
    try:
        path = find_config(name)
        content = yaml.safe_load(path.read_text())
    except ConfigNotFoundError as error:
        raise FirstLookError(str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FirstLookError(f"{name} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise FirstLookError(f"{name} holds no settings; write sections such as model: and data: into it")
    _check_classes(content, name)
    if sections is None:
        return
    for section, options in content.items():
        _check_known(str(section).rstrip("+"), sections, f"section in {name}")
        given = [part for part in (options, isinstance(options, dict) and options.get("init_args")) if part]
        if section in SEEDS and any(isinstance(part, dict) and "seed" in part for part in given):
            raise FirstLookError(_own_seed(f"{section}.seed in {name}"))


def _check_classes(content: object, name: str, place: str = "") -> None:
    """Whatever names its class has all else in ``init_args``; the parser's own words would not say where."""
    if isinstance(content, list):
        for i, entry in enumerate(content):
            _check_classes(entry, name, f"{place}[{i}]")
    if not isinstance(content, dict):
        return
    surplus = [key for key in content if str(key).rstrip("+") not in CLASS_KEYS]
    if "class_path" in content and surplus:
        where = f"{place}.{surplus[0]}".lstrip(".")
        raise FirstLookError(f"{name} has {where} beside class_path; write it into {place.lstrip('.')}.init_args")
    for key, value in content.items():
        _check_classes(value, name, f"{place}.{key}")


def _check_checkpoint(path: str) -> None:
    if path.startswith(("hf:", "pretrained:")):
        raise FirstLookError(f"{path} is a net without a training; begin with it by --start_from, or evaluate it")
    if path in ("best", "last", "hpc") or "://" in path:
        return
    file = Path(path)
    if (file / "checkpoints").is_dir():
        best = file / "checkpoints" / "best.ckpt"
        raise FirstLookError(f"{path} is a run; give {best}, or go on with the run by energy-at fit --resume {path}")
    if not file.is_file():
        raise FirstLookError(
            f"there is no checkpoint {path}; give a file such as runs/NAME/version_0/checkpoints/best.ckpt"
        )
    with file.open("rb") as content:
        if content.read(4) != b"PK\x03\x04":
            raise FirstLookError(f"{path} is no checkpoint; give a .ckpt file that a run has written")


def _check_flag(name: str) -> None:
    section, _, option = name.partition(".")
    _check_known(section.rstrip("+"), (*SECTIONS, "config", "help", "print_config"), "flag")
    if option.removeprefix("init_args.") == "seed" and section in SEEDS:
        raise FirstLookError(_own_seed(f"--{name}"))


def _own_seed(name: str) -> str:
    return f"{name} would be overwritten, for all seeds follow one; set seed_everything"


def _check_known(word: str, known: Sequence[str] | dict[str, str], kind: str) -> None:
    if word not in known:
        close = get_close_matches(word, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
        raise FirstLookError(f"{word!r} is no {kind}; {hint}")
