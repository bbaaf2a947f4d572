"""``python -m benchmarks``: one table of ratios, and the same with all details as JSON."""

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import energy_logger, evaluation, generation, lightning_overhead, loader, objectives, training_step
from benchmarks.setting import Setting
from benchmarks.watch import alone

GROUPS = {
    "loader": lambda setting: loader.rows(),
    "training_step": training_step.rows,
    "objectives": objectives.rows,
    "lightning_overhead": lightning_overhead.rows,
    "energy_logger": energy_logger.rows,
    "evaluation": evaluation.rows,
    "generation": generation.rows,
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the chosen groups, print each when it is done, and write the JSON file."""
    options = parser().parse_args(args)
    setting = Setting(torch.device("cuda" if options.gpu else "cpu"), options.quick)
    report: dict[str, Any] = {**machine(setting), "rows": []}
    print(", ".join(f"{key}: {value}" for key, value in machine(setting).items()))
    print(f"{'ratio':>7}  {'rounds':>13}  {'goal':>7}  {'':4}  {'memory':>6}  {'others':>6}")
    for name in options.only or GROUPS:
        rows = GROUPS[name](setting)
        print("\n".join(map(line, rows)), flush=True)
        report["rows"] += [{"group": name, **row} for row in rows]
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="train on CUDA (goals that name cores are for the CPU)")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the figures say little")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all details, after every group")
    return parser


def machine(setting: Setting) -> dict[str, Any]:
    """What the figures depend on."""
    cuda = setting.device.type == "cuda"
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(setting.device) if cuda else processor(),
        "capability": None if cuda else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "clock": "processor time" if alone(setting.device) else "wall time",
        "quick": setting.quick,
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def line(row: dict[str, Any]) -> str:
    """One line of the table; a row says what it compares, and its ratio."""
    rounds = "{:.3f}-{:.3f}".format(*row["quartiles"]) if "quartiles" in row else ""
    verdict = {None: "", True: "met", False: "MISS"}[row.get("met")]
    memory, others = row.get("memory_ratio") or "", row.get("other_load", "")
    goal = row.get("goal") or ""
    return f"{row['ratio']:>7}  {rounds:>13}  {goal:>7}  {verdict:4}  {memory:>6}  {others:>6}  {row['name']}"


if __name__ == "__main__":
    main()
