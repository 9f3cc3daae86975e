"""Serves a folder as a site, on this machine only."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
_USUAL_PORT = 8017


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files without logging each, and without caching, so that changes show up."""

    def log_message(self, format: str, *values: Any) -> None:
        """Logs nothing."""

    def send_head(self) -> Any:
        try:
            return super().send_head()
        except ValueError:  # no file can have such a name: %00
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return None

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


@contextlib.contextmanager
def served(folder: Path, port: int = 0) -> Iterator[http.server.HTTPServer]:
    """Yields a server for a folder, like `python -m http.server`; `serve_forever` runs it.

    It takes any free port if `port` is 0. Raises OSError if the port is taken.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise OSError(
            f"--port={port} cannot be used: {why}. Choose another, or leave it out for a free one."
        ) from error
    with server:
        yield server


def usual_port() -> int:
    """Always the same port if it is free, and 0 otherwise: browsers keep a page's data by port."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, _USUAL_PORT))
        except OSError:
            return 0
    return _USUAL_PORT


def address_of(server: http.server.HTTPServer) -> str:
    """The server's address for a browser on this machine."""
    return f"http://{HOST}:{server.server_port}/"
