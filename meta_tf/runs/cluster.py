"""`TF_CONFIG`: the workers of a training on several machines, and which of them this process is."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")


class Cluster(NamedTuple):
    """The addresses of all workers, `host:port`, the chief's first; and this one's number.

    The chief is the first worker unless the variable names one apart.
    """

    addresses: tuple[str, ...]
    number: int


def read_cluster() -> Cluster:
    """What the environment variable `TF_CONFIG` tells.

    Raises:
      ValueError: if it is not set, or is not what TensorFlow expects.

    Example:
      >>> os.environ["TF_CONFIG"] = EXAMPLE
      >>> read_cluster()
      Cluster(addresses=('host0:2222', 'host1:2222'), number=0)
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        raise ValueError(
            f"--strategy=multi_worker needs the environment variable {VARIABLE}, which tells the "
            f"addresses of all workers and the number of this one: {EXAMPLE}. Received: none."
        )
    try:
        told = json.loads(text)
    except ValueError as error:
        raise _wrong(f"it is no JSON ({error})", text) from None
    jobs = _jobs(told, text)
    task = told.get("task")
    if not isinstance(task, dict) or task.get("type") not in jobs:
        raise _wrong(f'"task" must have a "type", one of {", ".join(jobs)}', text)
    # TensorFlow takes the number as a text too, as the environment of a scheduler has it.
    index, addresses = str(task.get("index")), jobs[task["type"]]
    if not re.fullmatch("[0-9]+", index) or int(index) >= len(addresses):
        raise _wrong(f'"task" must have an "index", a number from 0 to {len(addresses) - 1}', text)
    before = len(jobs.get("chief", [])) if task["type"] == "worker" else 0
    everyone = [address for job in _JOBS for address in jobs.get(job, [])]
    if len(set(everyone)) < len(everyone):
        raise _wrong("two workers have the same address", text)
    return Cluster(tuple(everyone), before + int(index))


def _jobs(told: Any, text: str) -> dict[str, list[str]]:
    """The addresses by what their processes do."""
    jobs = told.get("cluster") if isinstance(told, dict) else None
    if not isinstance(jobs, dict) or not jobs:
        raise _wrong('it must have "cluster", with the addresses of "worker"', text)
    if unknown := [job for job in jobs if job not in _JOBS]:
        raise _wrong(f'"cluster" may have "chief" and "worker", not {unknown[0]!r}', text)
    for job, addresses in jobs.items():
        if not isinstance(addresses, list) or not addresses:
            raise _wrong(f'"{job}" must be a list of addresses', text)
        for address in addresses:
            if not isinstance(address, str) or not re.fullmatch(r"\S+:[0-9]+", address):
                raise _wrong(f"{address!r} must be an address such as host0:2222", text)
    if len(jobs.get("chief", [])) > 1:
        raise _wrong('there can be one "chief" only', text)
    return jobs


def _wrong(what: str, text: str) -> ValueError:
    shown = text if len(text) <= 200 else f"{text[:200]} …"
    return ValueError(
        f"{VARIABLE} must be such as {EXAMPLE}: {what}. Received: {' '.join(shown.split())}"
    )
