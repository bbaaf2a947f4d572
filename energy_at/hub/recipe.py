"""How a net was trained, beside its method and attack: in words, and without anybody's paths."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import Any

# of a training module: told elsewhere, or without a trace in the weights
ELSEWHERE = {"net", "attack", "val_attack", "test_attack", "schedule", "seed", "classifier"}
ELSEWHERE |= {"channels_last", "micro_batch", "cuda_graph", "compile"}
CALLBACKS = {"EMAWeightAveraging", "WeightAveraging", "StochasticWeightAveraging", "SWA", "Recovery"}  # change weights


def recipe_of(arguments: Mapping[str, Any], config: Mapping[str, Any], augmentation: str = "") -> dict[str, str]:
    """Settings of objective, images and optimizer, and callbacks that change the weights: each where there is any.

    Args:
        arguments: of the training module, as its checkpoint describes it.
        config: of the run; empty if nobody has it.
        augmentation: of the images, in words.
    """
    model, data, trainer = (_arguments(config, "model"), _arguments(config, "data"), config.get("trainer") or {})
    objective = {name: value for name, value in arguments.items() if not (name.startswith("_") or name in ELSEWHERE)}
    parts = {
        "objective": [_named(name, value) for name, value in objective.items()],
        "images": list(_images(data, augmentation)),
        "optimizer": [_told(model.get("optimizer")), _told(arguments.get("schedule")), _told(trainer.get("precision"))],
        "callbacks": [_told(each) for each in _callbacks(trainer) if short(each["class_path"]) in CALLBACKS],
    }
    return {name: told for name, words in parts.items() if (told := ", ".join(filter(None, words)))}


def short(class_path: object) -> str:
    """The name of a class."""
    return str(class_path).rpartition(".")[2]


def _arguments(config: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    return (config.get(section) or {}).get("init_args") or {}


def _callbacks(trainer: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    given = trainer.get("callbacks") or []
    return [each for each in (given if isinstance(given, list) else [given]) if "class_path" in each]


def _images(data: Mapping[str, Any], augmentation: str) -> Iterator[str]:
    if data.get("train_size"):
        yield f"{data['train_size']} of them"
    if data.get("synthetic"):
        yield f"synthetic ones beside them, a share of {data.get('synthetic_fraction')}"
    if data.get("batch_size"):
        yield f"batches of {data['batch_size']} a process"
    yield augmentation
    yield from (_named(name, data.get(name)) for name in ("cutout", "transform", "mix"))


def _named(name: str, value: object) -> str:
    """``weight 4.0``, ``terms both``, ``awp AWP(gamma 0.005)``; nothing for what is off."""
    told = _told(value)
    return f"{name} {told}" if told else ""


def _told(value: object) -> str:
    """A number, a word, or a class with its numbers; nothing for what is off, or could be a path."""
    if isinstance(value, Mapping) and "class_path" in value:
        numbers = {k: v for k, v in (value.get("init_args") or {}).items() if v and _of_numbers(v)}
        return f"{short(value['class_path'])}({', '.join(f'{k} {v}' for k, v in numbers.items())})"
    if isinstance(value, Mapping):
        return ", ".join(filter(None, (_named(name, part) for name, part in value.items())))
    if isinstance(value, str):
        return value if value.replace("-", "_").isidentifier() else ""
    return str(value) if value else ""


def _of_numbers(value: object) -> bool:
    return isinstance(value, Real) or (isinstance(value, list) and all(isinstance(each, Real) for each in value))
