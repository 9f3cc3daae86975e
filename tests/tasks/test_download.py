"""Downloads from a server on this machine, which can be made to misbehave."""

import functools
import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest

from meta_tf.tasks.download import fetch, fetch_omniglot

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server_state, *args):
        self.state = server_state
        super().__init__(*args)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.state["asked"].append((self.path, asked))
        if self.path.endswith("missing.zip"):
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if not self.state["ranges"]:
            start, asked = 0, None
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if asked else 200)
        if asked:
            sent = start + self.state["shift"]
            self.send_header("Content-Range", f"bytes {sent}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.state.pop("break_after", len(CONTENT))])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    state = {"asked": [], "ranges": True, "shift": 0}
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


def test_goes_on_where_it_was_broken_off(server, tmp_path):
    url, state = server
    state["break_after"] = 100_000
    with pytest.raises(ConnectionError, match=r"100000 of 300000 bytes.*run again.*goes on"):
        fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert not (tmp_path / "a.zip").exists()
    fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert state["asked"] == [("/a.zip", None), ("/a.zip", "bytes=100000-")]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_starts_over_where_the_server_knows_no_ranges(server, tmp_path):
    url, state = server
    state["ranges"] = False
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1234])
    fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("beyond", [b"", b"more than the file has"])
def test_a_part_that_is_complete_or_too_long(server, tmp_path, beyond):
    url, _ = server
    (tmp_path / "a.zip.part").write_bytes(CONTENT + beyond)
    fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_another_range_than_asked_for_is_refused(server, tmp_path):
    url, state = server
    state["shift"] = 1
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:10])
    with pytest.raises(ConnectionError, match="another range"):
        fetch(f"{url}/a.zip", tmp_path / "a.zip", MD5)


def test_wrong_checksum_removes_the_file_and_says_which(server, tmp_path):
    url, _ = server
    with pytest.raises(OSError, match=f"a.zip has a wrong checksum.*{'0' * 32}.*{MD5}"):
        fetch(f"{url}/a.zip", tmp_path / "a.zip", "0" * 32)
    assert not list(tmp_path.iterdir())


def test_refusal_of_the_server_is_told(server, tmp_path):
    url, _ = server
    with pytest.raises(ConnectionError, match=r"missing.zip: the server answers 404"):
        fetch(f"{url}/missing.zip", tmp_path / "missing.zip", MD5)


def test_no_connection_is_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match=r"Cannot download.*Check the connection"):
        fetch(f"http://127.0.0.1:{port}/a.zip", tmp_path / "a.zip", MD5)


def test_fetches_only_archives_that_are_missing(server, tmp_path):
    url, state = server
    folder = tmp_path / "new" / "folder"
    fetch_omniglot(folder, url, {"one.zip": MD5, "two.zip": MD5})
    (folder / "two.zip").unlink()
    fetch_omniglot(folder, url, {"one.zip": MD5, "two.zip": MD5})
    assert [path for path, _ in state["asked"]] == ["/one.zip", "/two.zip", "/two.zip"]
