"""Where configurations are: the current folder first, then those that come with the package."""

from difflib import get_close_matches
from pathlib import Path


class ConfigNotFoundError(ValueError):
    """No configuration of that name."""


def packaged_configs() -> Path:
    """The folder ``configs`` of a source checkout, or of the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "configs"
    return checkout if (package.parent / "pyproject.toml").exists() and checkout.is_dir() else package / "configs"


def find_config(name: str) -> Path:
    """The file that a name on the command line means.

    Args:
        name: a path, or a name relative to the packaged configs such as ``parts/wandb.yaml``.

    Raises:
        ConfigNotFoundError: naming the closest configurations there are.
    """
    for candidate in (Path(name), packaged_configs() / name):
        if candidate.is_file():
            return candidate
    known = {path.name: str(path.relative_to(packaged_configs())) for path in packaged_configs().rglob("*.yaml")}
    meant = Path(name).name
    close = [known[file] for file in ([meant] if meant in known else get_close_matches(meant, known, n=3))]
    close = close or [f"a path, or a name from {packaged_configs()}"]
    raise ConfigNotFoundError(f"there is no config {name}; give {' or '.join(close)}")
