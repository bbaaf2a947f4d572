"""``python -m benchmarks``: one table of ratios, and the same with all details as JSON."""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    attacks,
    energy_logger,
    evaluation,
    faster,
    file_loader,
    generation,
    growth,
    lightning_overhead,
    limits,
    loader,
    means,
    methods,
    objectives,
    side_by_side,
    startup,
    thirty_epochs,
    training_step,
)
from benchmarks.setting import Setting
from benchmarks.watch import alone

MODULES = (
    limits,
    loader,
    file_loader,
    attacks,
    training_step,
    faster,
    objectives,
    growth,
    lightning_overhead,
    energy_logger,
    thirty_epochs,
    evaluation,
    generation,
    means,
    methods,
    startup,
    side_by_side,
)
GROUPS = {module.__name__.rpartition(".")[2]: module.rows for module in MODULES}
COLUMNS = "{:>8}  {:>13}  {:>7}  {:4}  {:>6}  {:>6}  {:>6}  {:>6}  {}"
LEGEND = """\
ratio: of shortest times; rounds: lower and upper quartile of the rounds' ratios; memory: ratio of peaks, and the first
of them in MiB; limit: share of the machine's best matrix product or copy; others: cores that other programs took"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the chosen groups, print each when it is done, and write the JSON file."""
    options = parser().parse_args(args)
    setting = Setting(torch.device("cuda" if options.gpu else "cpu"), options.quick)
    report: dict[str, Any] = {**machine(setting), "seconds": {}, "rows": []}
    print(", ".join(f"{key}: {value}" for key, value in machine(setting).items()), LEGEND, sep="\n")
    print(COLUMNS.format("ratio", "rounds", "goal", "", "memory", "MiB", "limit", "others", ""))
    for name in options.only or GROUPS:
        start = time.perf_counter()
        rows = GROUPS[name](setting)
        print("\n".join(map(line, rows)), flush=True)
        report["seconds"][name] = round(time.perf_counter() - start, 1)
        report["rows"] += [{"group": name, **row} for row in rows]
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
    print("seconds: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in report["seconds"].items()))


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
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(setting.device) if setting.cuda else processor(),
        "capability": None if setting.cuda else torch.backends.cpu.get_cpu_capability(),
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
    mib = (row.get("memory_mib") or [None])[0]
    details = [row.get("goal"), row.get("memory_ratio"), mib, row.get("limit"), row.get("other_load")]
    goal, memory, mib, limit, others = ("" if value is None else str(value) for value in details)
    return COLUMNS.format(row["ratio"], rounds, goal, verdict, memory, mib, limit, others, row["name"])


if __name__ == "__main__":
    main()
