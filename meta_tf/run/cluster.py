"""`TF_CONFIG`: the workers of a training on several machines, and the number of this one."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import tensorflow as tf

# Nothing public sets how long a worker can be silent.
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.eager import context

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class Cluster(NamedTuple):
    """The addresses of all workers (`host:port`), and the number of this one.

    The chief has number 0: the first worker, unless the variable names a chief.
    """

    addresses: tuple[str, ...]
    number: int


def read_cluster() -> Cluster:
    """Reads the environment variable `TF_CONFIG` as TensorFlow does.

    Raises:
      ValueError: if it is not set, or does not describe workers that can train.

    Example:
      >>> os.environ["TF_CONFIG"] = EXAMPLE
      >>> read_cluster()
      Cluster(addresses=('host0:2222', 'host1:2222'), number=0)
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        raise ValueError(
            f"--strategy=multi_worker needs the environment variable {VARIABLE}, with the "
            f"addresses of all workers and the number of this one: {EXAMPLE}. Received: none."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        spec, job, number = resolver.cluster_spec(), resolver.task_type, resolver.task_id
        jobs = spec.as_dict()
    except (AttributeError, TypeError, ValueError) as error:
        raise _wrong(str(error), text) from None
    lists = all(isinstance(listed, list) and listed for listed in jobs.values())
    chief = jobs.get("chief", [])
    addresses = (*chief, *jobs.get("worker", []))
    no_address = [a for a in addresses if not re.fullmatch(r"\S+:[0-9]+", a)]
    if not jobs or not lists or jobs.keys() - {"chief", "worker"}:
        what = '"cluster" must have a list of addresses for "worker", and may have "chief"'
    elif no_address:
        what = f"{no_address[0]!r} must be an address such as host0:2222"
    elif len(chief) > 1:
        what = 'there can be one "chief" only'
    elif len(set(addresses)) < len(addresses):
        what = "two workers have the same address"
    elif job not in jobs:
        what = f'"task" must have a "type", one of {", ".join(jobs)}'
    elif number is None or not 0 <= number < len(jobs[job]):
        what = f'"task" must have an "index", a number from 0 to {len(jobs[job]) - 1}'
    else:
        return Cluster(addresses, number + len(chief) * (job == "worker"))
    raise _wrong(what, text)


def tolerate_silence(seconds: float) -> None:
    """Sets how long a worker can be silent before TensorFlow gives up on it.

    Each worker sends heartbeats to the first one, from a thread. TensorFlow's own limit is ten
    seconds, which a busy or paused machine exceeds. Call this before creating a
    `tf.distribute.MultiWorkerMirroredStrategy`, which otherwise sets its limit.
    """
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    jobs = [job for job in ("chief", "worker") if job in cluster.jobs]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{jobs[0]}/replica:0/task:0",
        coordinated_jobs=[
            CoordinatedJob(name=job, num_tasks=cluster.num_tasks(job)) for job in jobs
        ],
        heartbeat_timeout_in_ms=int(seconds * 1000),
    )


def _wrong(what: str, text: str) -> ValueError:
    shown = text if len(text) <= 200 else f"{text[:200]} …"
    return ValueError(
        f"{VARIABLE} must be such as {EXAMPLE}: {what}. Received: {' '.join(shown.split())}"
    )
