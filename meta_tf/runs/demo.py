"""`meta-tf demo`: a page that learns, in the reader's browser, what is drawn on it."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import webbrowser
from pathlib import Path

import meta_tf
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.serve import address_of, served
from meta_tf.demo.write import check_folder, write_page
from meta_tf.runs.learners import load_learner
from meta_tf.runs.quiet import hidden_stderr


def run(flags: argparse.Namespace) -> None:
    """Writes the page to `flags.output`; without that, shows it until it is interrupted.

    Args:
      flags: those of `meta_tf.runs.flags.demo_groups`, as `read_flags` returns them.
    """
    if flags.output:
        check_folder(Path(flags.output))
    learner = load_learner(flags)
    package = runtime_package(flags.runtime)
    name = Path(flags.learner).stem  # of a file or a folder; a shipped one has no ending
    if flags.output:
        size = _write(learner, Path(flags.output), name, package)
        print(
            f"Written to {flags.output} ({size / 1e6:.1f} MB). Any static host shows it, this "
            f"machine by: python -m http.server --directory {flags.output}"
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "page"
        _write(learner, folder, name, package)
        _show(folder, flags.port, flags.browser)


def _write(learner: meta_tf.MetaLearner, folder: Path, name: str, package: Path) -> int:
    error: Exception | None = None
    with hidden_stderr():  # the converters write pages
        try:
            return write_page(learner, folder, name, package)
        except (ImportError, ValueError) as raised:
            error = raised
    raise RuntimeError(str(error)) from error


def _show(folder: Path, port: int, browser: bool) -> None:
    """Shows the page in the browser until the user has seen enough."""
    with served(folder, port) as server, contextlib.suppress(KeyboardInterrupt):
        address = address_of(server)
        print(f"The page is at {address}, for this machine alone, until Ctrl+C.", flush=True)
        if browser:
            webbrowser.open(address)
        server.serve_forever()
