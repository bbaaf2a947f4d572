"""A progress bar for which no step waits."""

import time
from importlib.util import find_spec
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar

from energy_at.types import require

RICH = find_spec("rich") is not None
Bar: type[RichProgressBar | TQDMProgressBar] = RichProgressBar if RICH else TQDMProgressBar


class ProgressBar(Bar):  # type: ignore[misc, valid-type]
    """Lightning's bar, whose numbers come from the device a few times a second and at an epoch's end.

    Lightning's own fetches them in every step, and each time Python waits until the GPU has done all that it was
    given; steps of a few milliseconds then take twice as long.

    Args:
        seconds: least time between two looks at the numbers, at least 0.

    Raises:
        InputError: if seconds is negative.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        require(seconds >= 0, f"seconds is {seconds}, but a time is at least 0; write seconds: 0.5")
        super().__init__(**({"refresh_rate": 4} if RICH else {}))  # drawings a second
        self.seconds = seconds
        self._metrics: Any = {}
        self._seen_at = -float("inf")

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Any:
        """The numbers beside the bar, which may be as old as ``seconds``."""
        now = time.monotonic()
        if now - self._seen_at >= self.seconds or trainer.is_last_batch or not trainer.training:
            self._metrics, self._seen_at = super().get_metrics(trainer, pl_module), now
        return self._metrics
