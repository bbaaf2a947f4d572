"""``energy-at push``."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from torch import Tensor

from energy_at.cli.lock import only_one
from energy_at.cli.resume import data_state, run_of
from energy_at.evaluation.checkpoints import load_net, read_checkpoint
from energy_at.files import write_file
from energy_at.hub.bundle import write_bundle
from energy_at.hub.card import model_card
from energy_at.hub.facts import Facts, evaluation_of, facts_of
from energy_at.hub.robustbench import write_robustbench
from energy_at.hub.sources import HUB, WEIGHTS, hub_reason
from energy_at.types import InputError, require

FILES = ("energies.png", "metrics.csv", "results.json")


def push(
    run: str,
    repo: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    license: str | None = None,
    private: bool = False,
    revision: str | None = None,
    output: str | None = None,
    robustbench: str | None = None,
) -> None:
    """Share a trained net on the Hugging Face Hub, or as a folder: weights, description, curves and a model card.

    Args:
        run: folder of a training, such as runs/NAME/version_0; or one of its checkpoints.
        repo: USER/NAME on the hub, which is made if there is none; log in with hf auth login, or set HF_TOKEN.
        checkpoint: which one of the run.
        license: of the weights, as the hub abbreviates it, such as mit or cc-by-4.0; by default the card says that none
            was stated.
        private: whether a new repository is seen by its owner alone.
        revision: branch of the repository; its main one by default.
        output: folder that keeps what is shared; without repo, that is all that is done.
        robustbench: name under which the output also has the net as RobustBench keeps it, such as Wong2020Fast: weights
            for its loader, and the claim for its leaderboard.
    """
    require(bool(repo or output), "there is neither repo nor output; give --repo USER/NAME, --output FOLDER or both")
    named = repo is None or HUB.fullmatch(f"hf://{repo}") is not None
    require(named, f"{repo} is no USER/NAME; write --repo USER/NAME")
    require(not robustbench or bool(output), "robustbench writes into the output; give --output FOLDER too")
    path = Path(run) if Path(run).is_file() else Path(run) / "checkpoints" / f"{checkpoint}.ckpt"
    shared = read_shared(path)
    if output:
        _require_free(Path(output))
    if output and robustbench:
        written = write_robustbench(Path(output), robustbench, shared.state, shared.facts, shared.evaluation)
        print(f"For RobustBench: {written}")
    with TemporaryDirectory() if output is None else nullcontext(output) as folder:
        with only_one(Path(folder)) if output else nullcontext():
            write_shared(shared, Path(folder), repo, license)
        if repo:
            _upload(Path(folder), repo, private, revision)
    if output:
        print(f"Written: {output}; energy-at evaluate -c CONFIG --ckpt_path {output} takes it")


@dataclass(frozen=True)
class Shared:
    """What is shared of a net.

    Args:
        facts: of it.
        state: its weights.
        evaluation: of these weights; None if there is none.
        files: of its run.
    """

    facts: Facts
    state: Mapping[str, Tensor]
    evaluation: Mapping[str, Any] | None
    files: tuple[Path, ...]


def read_shared(checkpoint: Path) -> Shared:
    """Gather it from a checkpoint and the files of its run.

    Raises:
        InputError: if the checkpoint is none, or does not say of which net it is.
    """
    content, run, evaluation = read_checkpoint(checkpoint), run_of(str(checkpoint)), evaluation_of(checkpoint)
    facts = facts_of(checkpoint, content, run, evaluation, data_state(content))
    files = tuple(run / name for name in FILES if (run / name).is_file()) if run else ()
    return Shared(facts, load_net(checkpoint).state_dict(), evaluation, files)


def write_shared(shared: Shared, folder: Path, repo: str | None = None, license: str | None = None) -> None:
    """Write all of it into a folder, without a path of this machine in it.

    Args:
        shared: what is known of the net.
        folder: that receives the files.
        repo: ``USER/NAME``, for the card.
        license: likewise.
    """
    write_bundle(folder, shared.state, shared.facts.as_config())
    for file in shared.files:
        write_file(folder / file.name, file.read_bytes())
    if shared.evaluation is not None:
        write_file(folder / "evaluation.json", json.dumps(shared.evaluation, indent=2) + "\n")
    write_file(folder / "README.md", model_card(shared.facts, repo, license, (folder / "energies.png").is_file()))


def _require_free(folder: Path) -> None:
    require(
        (folder / WEIGHTS).is_file() or not (folder / "README.md").exists(),
        f"{folder} has a README.md of its own, which a model card would replace; choose another folder",
    )


def _upload(folder: Path, repo: str, private: bool, revision: str | None) -> None:
    from huggingface_hub import HfApi  # here, so that nobody waits for it who does not use it

    api = HfApi(library_name="energy_at")
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        if revision:
            api.create_branch(repo, branch=revision, exist_ok=True)
        told = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            revision=revision,
            commit_message="Share a net with energy-at",
            ignore_patterns=[".*", "models/*", "model_info/*"],  # the lock, and what is RobustBench's
        )
    except Exception as error:  # of the client, or of its HTTP library
        raise InputError(f"{repo} cannot be written: {hub_reason(error)}") from error
    print(f"Shared: {told.commit_url}\nenergy-at evaluate -c CONFIG --ckpt_path hf://{repo} takes it")
