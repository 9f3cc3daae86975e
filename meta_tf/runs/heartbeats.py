"""How long TensorFlow lets a worker be silent before it ends the training of all."""

from __future__ import annotations

import tensorflow as tf

# No public name sets this.
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.eager import context


def tolerate_silence(seconds: float) -> None:
    """Lets the workers that `TF_CONFIG` names be silent for so long.

    Each sends a heartbeat to the first of them, from a thread of its own. Ten seconds without one
    are TensorFlow's limit, which a busy or a paused machine exceeds. To be called before
    `tf.distribute.MultiWorkerMirroredStrategy` is made, which otherwise sets its own limit.
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
