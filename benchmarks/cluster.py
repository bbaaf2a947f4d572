"""A cluster of four hosts on one machine: a training on two of them loses one, and goes on on the other two.

    sudo python -m benchmarks.cluster

Hosts are network namespaces of Linux, which share a folder; each runs two processes as SLURM's srun would start them
(its variables stand in for it). The first job is left alone. In the middle of the second the link of its second host is
cut: how long do its processes take to end? Then it is requeued on the two other hosts, and has to end with the weights
and losses of the first. Four processes wait for each other on the cores of one machine, so nothing here says how fast.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.remains import last_run, remains

HOSTS, BRIDGE, NETWORK = 4, "eat-bridge", "10.77.0"
PROCESSES = 2  # on each host
TIMEOUT_S, PATIENCE_S = 20, 120
TRAINING = (
    *(sys.executable, "-m", "energy_at", "fit", "-c=digits_rsfgsm_der.yaml", "--trainer.max_epochs=12"),
    *("--data.batch_size=16", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
    *("--trainer.limit_test_batches=0", f"--trainer.devices={PROCESSES}", "--trainer.num_nodes=2"),
    *("--trainer.strategy=lightning.pytorch.strategies.DDPStrategy", f"--trainer.strategy.timeout=0:00:{TIMEOUT_S}"),
    # otherwise DDP orders gradients anew after its first step, and the sum of four numbers depends on their order
    "--trainer.strategy.find_unused_parameters=true",
)


def ip(line: str) -> None:
    """Iproute2's command, which needs root."""
    subprocess.run(["ip", *line.split()], check=True)


@contextmanager
def cluster() -> Iterator[None]:
    """Hosts with an address each, on one bridge."""
    try:
        ip(f"link add {BRIDGE} type bridge")
        ip(f"link set {BRIDGE} up")
        for host in range(HOSTS):
            ip(f"netns add eat{host}")
            ip(f"link add eat-veth{host} type veth peer name eth0 netns eat{host}")
            ip(f"link set eat-veth{host} master {BRIDGE} up")
            for line in (f"addr add {NETWORK}.{host + 1}/24 dev eth0", "link set eth0 up", "link set lo up"):
                ip(f"-n eat{host} {line}")
        yield
    finally:
        for host in range(HOSTS):
            subprocess.run(["ip", "link", "del", f"eat-veth{host}"], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "netns", "del", f"eat{host}"], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)


def started(job: int, hosts: Sequence[int], folder: Path) -> list[subprocess.Popen]:
    """The job's processes on these hosts."""
    folder.mkdir(exist_ok=True)
    return [
        process_of(job, hosts, rank, folder, folder / f"said-{hosts[0]}-{rank}.txt")
        for rank in range(len(hosts) * PROCESSES)
    ]


def process_of(job: int, hosts: Sequence[int], rank: int, folder: Path, said: Path) -> subprocess.Popen:
    """One of them."""
    node, local = divmod(rank, PROCESSES)
    slurm = {
        "JOB_ID": job,
        "JOB_NAME": "at",
        "NTASKS": len(hosts) * PROCESSES,
        "NTASKS_PER_NODE": PROCESSES,
        "NNODES": len(hosts),
        "PROCID": rank,
        "LOCALID": local,
        "NODEID": node,
        "NODELIST": ",".join(f"{NETWORK}.{host + 1}" for host in hosts),
    }
    env = os.environ | {f"SLURM_{name}": str(value) for name, value in slurm.items()}
    env |= {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    line = ["ip", "netns", "exec", f"eat{hosts[node]}", *TRAINING]
    with said.open("w") as file:
        return subprocess.Popen(line, cwd=folder, env=env, stdout=file, stderr=file)


def ended(processes: Sequence[subprocess.Popen], seconds: float) -> list[int | None]:
    """Exit codes; None for those that had to be killed, as a scheduler does."""
    until = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue
    codes = [process.poll() for process in processes]
    for process in processes:
        process.kill()
    return codes


def lost(folder: Path) -> str:
    """The second job loses a host after an epoch and goes on elsewhere; what is seen of it."""
    processes = started(2, (0, 1), folder)
    while not (last_run(folder) and (last_run(folder) / "checkpoints/last.ckpt").is_file()):
        time.sleep(0.1)
        if any(process.poll() for process in processes):
            raise SystemExit(f"a process ended before the link was cut; see {folder}")
    ip("-n eat1 link set eth0 down")
    cut = time.monotonic()
    codes, took = ended(processes, PATIENCE_S), time.monotonic() - cut
    again = ended(started(2, (2, 3), folder), 10 * PATIENCE_S)
    words = {line for path in folder.glob("said-0-*") for line in path.read_text().splitlines() if "energy-at:" in line}
    return f"link cut: exit codes {codes} after {took:.0f} s; requeued on the other hosts: {again}\n" + "\n".join(words)


def main() -> int:
    """Both jobs, and what differs between them."""
    with tempfile.TemporaryDirectory(prefix="cluster") as work, cluster():
        alone, lossy, none = (Path(work) / name for name in ("alone", "lossy", "none"))
        none.mkdir()
        print(f"left alone: exit codes {ended(started(1, (0, 1), alone), 10 * PATIENCE_S)}", flush=True)
        print(lost(lossy), flush=True)
        wanted, found = remains(alone, none), remains(lossy, none)
        wrong = found.differing(wanted) + found.left
        print(f"differing or left behind: {', '.join(wrong)}" if wrong else "all as in the job that was left alone")
        return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
