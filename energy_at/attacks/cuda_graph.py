"""An attack's kernels recorded once and replayed, for nets that wait for Python more than for the GPU."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import torch
from torch import nn

from energy_at.attacks.base import Attack, caller_state_kept
from energy_at.attacks.pgd import PGD
from energy_at.types import Images, Labels, require

Replay = Callable[[Images, Labels, Images], Images]
Recorded = TypeVar("Recorded")
WARM_UP = 3  # passes in which the libraries choose their kernels and take their memory


class CudaGraphs:
    """Runs an attack as a CUDA graph: the whole ascent is one launch, with the same numbers as the attack itself.

    The noise is drawn outside the graph. One graph is recorded for each shape of images and labels, mode and
    precision, up to ``most``; whatever comes after those runs eagerly. A graph reads the net's weights where they lie,
    so an update in place is seen, and weights that lie elsewhere are another graph.

    Args:
        most: graphs that are recorded, at least 1; each keeps the memory of its activations.
    """

    def __init__(self, most: int = 2) -> None:
        self.recordings: Recordings[Replay] = Recordings(most)

    def __call__(
        self, attack: PGD, net: nn.Module, x: Images, y: Labels, start: Images | None, generator: torch.Generator
    ) -> Images:
        """``attack(net, x, y, start, generator)``; see ``Attack``."""
        start = attack.draw_start(x, generator) if start is None else start
        replay = self.recordings.of(y.shape, net, x, lambda: record(attack, net, x, y, start))
        return attack(net, x, y, start, generator) if replay is None else replay(x, y, start)


def check_recordable(attack: Attack) -> None:
    """Refuse an attack whose noise cannot be drawn outside the graph.

    Raises:
        InputError: naming the attack and the remedy.
    """
    require(
        isinstance(attack, PGD) and attack.restarts == 1,
        f"a CUDA graph holds one ascent of PGD or its single-step forms, and the attack is {type(attack).__name__}"
        f"{' with restarts' if isinstance(attack, PGD) else ''}; write cuda_graph: false",
    )


def record(attack: PGD, net: nn.Module, x: Images, y: Labels, start: Images) -> Replay:
    """Record the attack on a batch of this shape.

    Args:
        attack: what is recorded.
        net: in the mode and under the autocast in which the graph is to run.
        x: [N, C, H, W] on a CUDA device.
        y: [N], or shares [N, K].
        start: the first iterate.

    Returns:
        A function of (x, y, start) that copies them to the graph's own memory, replays it, and returns x_adv.
    """
    x, y, start = inputs = tuple(tensor.detach().clone() for tensor in (x, y, start))
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(x.device)
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with caller_state_kept(net, x):
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                attack.perturb(net, x, y, start)
        torch.cuda.current_stream(x.device).wait_stream(stream)
        # the graph casts the weights itself: casts from before it would go stale, and its own hold nothing until replay
        torch.clear_autocast_cache()
        with torch.cuda.graph(graph):
            x_adv = attack.perturb(net, x, y, start).detach()
        torch.clear_autocast_cache()

    def replay(*values: torch.Tensor) -> Images:
        for mine, given in zip(inputs, values, strict=True):
            mine.copy_(given)
        graph.replay()
        return x_adv.clone()

    return replay


class Recordings(Generic[Recorded]):
    """Graphs by the situation that they were recorded in, up to ``most``; a copy records its own.

    Args:
        most: graphs that are recorded, at least 1.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.graphs: dict[Any, Recorded] = {}
        self.situation = Situations()

    def of(self, kind: Any, net: nn.Module, x: Images, record: Callable[[], Recorded]) -> Recorded | None:
        """The graph of this kind for a batch [N, C, H, W]; None where the pass is to run eagerly."""
        key = kind, *self.situation(net, x)
        if key not in self.graphs and len(self.graphs) < self.most:
            self.graphs[key] = record()
        return self.graphs.get(key)

    def forget(self) -> None:
        """Give the graphs' memory back."""
        self.graphs.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Without graphs: those of the original read the original's weights."""
        return vars(Recordings(self.most))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self.most)


class Situations:
    """What a graph holds for good: shape and memory of the batch, precision, and of the net what passes depend on.

    That is its layers' modes, whether they keep statistics, and where the weights lie and whether they learn. A net
    is read once: it keeps its layers from then on.
    """

    def __init__(self) -> None:
        self._net: nn.Module | None = None

    def __call__(self, net: nn.Module, x: Images) -> tuple[Any, ...]:
        """A key for a batch [N, C, H, W]."""
        if net is not self._net:
            self._net, self._layers, self.weights = net, tuple(net.modules()), tuple(net.parameters())
            self._keepers = tuple(layer for layer in self._layers if hasattr(layer, "track_running_stats"))
        kind = x.device.type
        precision = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind)
        places = tuple((weight.data_ptr(), weight.requires_grad) for weight in self.weights)
        modes = tuple(layer.training for layer in self._layers)
        keeping = tuple(layer.track_running_stats for layer in self._keepers)
        return tuple(x.shape), x.dtype, x.stride(), precision, modes, keeping, places
