"""Addresses on this machine for workers to connect to each other."""

from __future__ import annotations

import socket


def free_addresses(count: int) -> list[str]:
    """The requested number of free addresses, `localhost:PORT`."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("localhost", 0))
    addresses = [f"localhost:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return addresses
