"""The two checkpoints of every run: the most robust epoch, and the last one."""

from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, the epoch of the highest ``monitor``.

    Args:
        monitor: a logged metric; by default accuracy under attack on the held-out validation images.
        mode: "max" or "min".
        filename: without its ending.
    """

    def __init__(self, monitor: str = "val/robust_acc", mode: str = "max", filename: str = "best") -> None:
        # after validation only: a run without validation images has no best epoch
        super().__init__(
            monitor=monitor, mode=mode, filename=filename, save_on_train_epoch_end=False, enable_version_counter=False
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Of the run that is resumed: its best is still to be beaten, though this run writes into another folder."""
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``, from which a run resumes, at the end of every epoch.

    Lightning's own ``save_last`` writes only when the best improves.

    Args:
        every_n_epochs: epochs between two writings.
        filename: without its ending.
    """

    def __init__(self, every_n_epochs: int = 1, filename: str = "last") -> None:
        super().__init__(
            filename=filename, every_n_epochs=every_n_epochs, save_on_train_epoch_end=True, enable_version_counter=False
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load: a resumed run writes its own, and Lightning would warn that its folder is another one."""
