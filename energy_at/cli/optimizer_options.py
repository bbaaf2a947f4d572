"""Options of optimizer and schedule that were changed before a training goes on."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L

from energy_at.modules import Schedule
from energy_at.types import require

RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # of a parameter group, the last three a schedule's
BASES = ("base_lrs", "_last_lr")  # of a schedule
REMEDY = "leave it as it was, or begin anew with the weights of the checkpoint by --start_from"


class OptimizerOptions(L.Callback):
    """Lets them take effect: an optimizer's state brings the old ones along, and they would win without a word.

    Args:
        asked: class_path and init_args.
    """

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.asked = json.loads(json.dumps(asked))

    def state_dict(self) -> dict[str, Any]:
        """What the next training compares its own with."""
        return {"asked": self.asked}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Put the changed ones into the checkpoint, before optimizer and schedule take their state from there.

        Raises:
            InputError: if one of the two is of another kind, which cannot take that state.
        """
        before = checkpoint["callbacks"].get(self.state_key, {}).get("asked", self.asked)
        self._check_kinds(before, pl_module, checkpoint)
        old, new = before.get("init_args", {}), self.asked.get("init_args", {})
        changed = {name: value for name, value in new.items() if name != "lr" and old.get(name) != value}
        scale = new["lr"] / old["lr"] if old.get("lr") and "lr" in new else 1
        for group in _groups(checkpoint):
            group |= {name: value for name, value in changed.items() if name in group}
            group |= {name: scale * group[name] for name in RATES if name in group and scale != 1}
            if pl_module.schedule is None and "initial_lr" in group:
                group["lr"] = group.pop("max_lr", group.pop("initial_lr"))
        for schedule in checkpoint["lr_schedulers"] if scale != 1 else ():
            schedule |= {name: [scale * rate for rate in schedule[name]] for name in BASES if name in schedule}

    def _check_kinds(self, before: Mapping[str, Any], module: Any, checkpoint: Mapping[str, Any]) -> None:
        was, is_now = (asked["class_path"].rpartition(".")[2] for asked in (before, self.asked))
        require(was == is_now, f"this training's optimizer is {was}, and {is_now} cannot take its state; {REMEDY}")
        if isinstance(module.schedule, Schedule):
            by_factor = type(module.schedule).__call__ is Schedule.__call__
            require(
                all(("lr_lambdas" in state) == by_factor for state in checkpoint["lr_schedulers"]),
                f"{type(module.schedule).__name__} cannot take the state of this training's schedule; {REMEDY}",
            )


def _groups(checkpoint: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for state in checkpoint["optimizer_states"]:
        yield from state["param_groups"]
