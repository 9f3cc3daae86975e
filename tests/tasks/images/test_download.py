"""Downloads from a server on this machine, which can be made to misbehave."""

import functools
import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest

from meta_tf.tasks.images.download import fetch

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server_state, *args):
        self.state = server_state
        super().__init__(*args)

    def do_GET(self):
        if self.path.endswith("missing.zip"):
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: self.state.pop("break_after", len(CONTENT))])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    state = {}
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, state)
    ) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", state
        running.shutdown()


def test_fetches_whole_file(server, tmp_path):
    url, _ = server
    fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert [f.name for f in tmp_path.iterdir()] == ["a.zip"]


def test_what_breaks_off_leaves_nothing_and_can_be_tried_again(server, tmp_path):
    url, state = server
    state["break_after"] = 100_000
    with pytest.raises(OSError, match=r"Cannot download.*100000 out of 300000 bytes.*Try again"):
        fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert not list(tmp_path.iterdir())
    fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_wrong_checksum_leaves_what_was_there_and_says_which(server, tmp_path):
    url, _ = server
    (tmp_path / "a.zip").write_bytes(b"from before")
    with pytest.raises(OSError, match=f"a.zip: its MD5 checksum is not {'0' * 32}.*`mirror`"):
        fetch(f"{url}/a.zip", tmp_path / "a.zip", "0" * 32)
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [b"from before"]


def test_an_error_of_the_server_is_reported(server, tmp_path):
    url, _ = server
    with pytest.raises(OSError, match=r"missing.zip: HTTP Error 404: Not Found.*put the file at"):
        fetch(f"{url}/missing.zip", tmp_path / "missing.zip", MD5)
    assert not list(tmp_path.iterdir())


def test_a_missing_connection_is_reported(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match=r"Cannot download.*Connection refused.*Try again"):
        fetch(f"http://127.0.0.1:{port}/a.zip", tmp_path / "a.zip", MD5)


def test_an_invalid_url_is_reported(tmp_path):
    with pytest.raises(OSError, match=r"Cannot download nowhere/a.zip: unknown url type"):
        fetch("nowhere/a.zip", tmp_path / "a.zip", MD5)
