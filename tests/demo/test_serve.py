"""Showing the page on this machine."""

import threading
import urllib.error
import urllib.request

import pytest

from meta_tf.demo import serve
from meta_tf.demo.serve import address_of, served


def test_files_arrive_as_what_they_are_and_without_a_line_on_the_screen(tmp_path, capfd):
    kinds = {
        "index.html": "text/html",
        "main.js": "text/javascript",
        "runtime.mjs": "text/javascript",
        "runtime.wasm": "application/wasm",
        "style.css": "text/css",
    }
    for name in kinds:
        (tmp_path / name).write_text(name)
    with served(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for name, kind in kinds.items():
                with urllib.request.urlopen(address_of(server) + name) as answer:
                    # A browser runs no module of another kind.
                    assert answer.headers["Content-Type"].startswith(kind)
                    assert answer.read().decode() == name
            with urllib.request.urlopen(address_of(server)) as answer:
                assert answer.read() == b"index.html"
            for name in ("%00", "a%00b", "nothing"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(address_of(server) + name)
        finally:
            server.shutdown()
            thread.join()
    assert capfd.readouterr() == ("", "")


def test_a_used_port_is_reported(tmp_path):
    with served(tmp_path) as server, pytest.raises(OSError, match=r"in use.*Choose another"):
        served(tmp_path, server.server_port).__enter__()


def test_the_page_is_at_the_same_port_each_time_unless_it_is_taken(tmp_path, monkeypatch):
    with served(tmp_path) as server:
        monkeypatch.setattr(serve, "_USUAL_PORT", server.server_port)
        assert serve.usual_port() == 0
    assert serve.usual_port() == server.server_port
