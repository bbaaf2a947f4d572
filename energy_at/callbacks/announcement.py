"""How a monitor says what it has seen."""

import lightning as L
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn


def announce(trainer: L.Trainer, what: str, words: str, stop: bool, option: str) -> None:
    """A warning, an alert of the loggers that raise some (W&B), and the training's end where that is asked.

    Args:
        trainer: of the training.
        what: was seen, in a few words.
        words: the whole of it.
        stop: whether the training ends.
        option: that asks for it.
    """
    rank_zero_warn(words)
    for logger in trainer.loggers:
        if hasattr(logger, "alert"):
            logger.alert(what.capitalize(), words)
    if stop:
        rank_zero_info(f"The training stops here, as {option} asks.")
        trainer.should_stop = True
