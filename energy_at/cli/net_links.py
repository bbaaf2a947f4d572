"""What a net learns from the data set, unless it was told."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from energy_at.describe import init_parameters
from energy_at.evaluation.checkpoints import imported
from energy_at.types import require

STATISTICS = ("mean", "std")


class NetLinks:
    """Classes and channels of the data set, and its mean and standard deviation for a net that is trained.

    Args:
        parser: that has ``data`` and the net.
        net: key of the net.
        statistics: whether it learns mean and std; a net that is judged has its own.
    """

    def __init__(self, parser: ArgumentParser, net: str, statistics: bool) -> None:
        self.net = net
        self._given: Mapping[str, Any] = {}
        for name in ("num_classes", *STATISTICS) if statistics else ("num_classes",):
            self._link(parser, name, name, lambda value: value)
        self._link(parser, "in_channels", "image_shape", lambda shape: shape[0])

    def look(self, config: Namespace) -> None:
        """Remember what the net was told: the parser puts the data set's in its place."""
        self._given = given(config.get(self.net))

    def told(self, config: Namespace, text: str) -> str:
        """The dumped config, in which the parser leaves out what is linked, with the mean and std that were told."""
        statistics = {name: value for name, value in given(config.get(self.net)).items() if name in STATISTICS}
        if not statistics:
            return text
        content = node = yaml.safe_load(text)
        for key in f"{self.net}.init_args".split("."):
            node = node[key]
        node.update({name: list(v) if isinstance(v, tuple) else v for name, v in statistics.items()})
        return yaml.safe_dump(content, sort_keys=False)

    def _link(self, parser: ArgumentParser, name: str, source: str, of: Callable[[Any], Any]) -> None:
        target = f"{self.net}.init_args.{name}"
        parser.link_arguments(
            f"data.{source}", target, lambda learnt: self._chosen(name, of(learnt)), apply_on="instantiate"
        )

    def _chosen(self, name: str, learnt: Any) -> Any:
        if name in STATISTICS:  # one that was told is not mixed with the other of the data
            return self._given.get(name) if {*STATISTICS} & {*self._given} else learnt
        told = self._given.get(name, learnt)
        require(
            told == learnt,
            f"the net's {name} is {told}, but the data have {learnt}; leave {name} out, it is learnt from the data",
        )
        return learnt


def given(net: Any) -> Mapping[str, Any]:
    """Arguments of a net that the user gave, as far as they differ from the defaults of its class."""
    arguments = getattr(net, "init_args", None)
    if arguments is None:
        return {}
    known = init_parameters(imported(net.class_path)) or {}
    told = {name: value for name, value in vars(arguments).items() if name in known and value is not None}
    return {name: value for name, value in told.items() if value != known[name].default}
