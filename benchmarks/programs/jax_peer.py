"""JAX: one compiled program per step, or for many steps (`scan`).

`devices`: with 2, XLA sees two CPU devices and each takes half of the tasks.
`tasks`: "vmap" stacks them; "map" takes one after another, which suits convolutions.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.harness.workloads import Work


def build(work: Work, settings: dict[str, Any]) -> Any:
    """Sets the number of devices, which JAX reads from the environment, then imports it."""
    count = settings.get("devices", 1)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"
    from benchmarks.programs.jax_step import Step

    return Step(work, settings)
