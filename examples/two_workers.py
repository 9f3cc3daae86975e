"""Trains with two workers on this machine, to try `--strategy=multi_worker` without a cluster.

    python examples/two_workers.py --iterations=200 --workdir=runs/two_workers

The flags are those of `meta-tf train`. Each worker is a process with its own `TF_CONFIG`, like a
machine in a cluster; the first one writes the run's folder and prints messages. To resume a
stopped run, run the same command again, or `meta-tf train` without workers.
"""

import json
import os
import signal
import socket
import subprocess
import sys


def free_addresses(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("localhost", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return [f"localhost:{port}" for port in ports]


def start(addresses: list[str], index: int, flags: list[str]) -> subprocess.Popen:
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    return subprocess.Popen(
        [sys.executable, "-m", "meta_tf.command", "train", "--strategy=multi_worker", *flags],
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
    )


def main() -> int:
    addresses = free_addresses(2)
    workers = [start(addresses, index, sys.argv[1:]) for index in range(2)]
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda number, _: [w.send_signal(number) for w in workers])
    return max(worker.wait() % 256 for worker in workers)


if __name__ == "__main__":
    sys.exit(main())
