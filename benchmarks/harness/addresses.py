"""Addresses on this machine, for workers that find each other by them."""

from __future__ import annotations

import socket


def free_addresses(count: int) -> list[str]:
    """As many as are asked for, `localhost:PORT`, that nobody uses now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("localhost", 0))
    addresses = [f"localhost:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return addresses
