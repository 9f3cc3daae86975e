"""`meta-tf demo`: a page that learns, in the reader's browser, what is drawn on it."""

from __future__ import annotations

import argparse
import threading
import webbrowser
from pathlib import Path

from meta_tf import zoo
from meta_tf.demo.manifest import Shown
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.serve import address_of, served
from meta_tf.demo.write import check_folder, write_page
from meta_tf.files import temporary_folder
from meta_tf.runs import stop
from meta_tf.runs.learners import import_modules, load
from meta_tf.runs.quiet import hidden_stderr


def run(flags: argparse.Namespace) -> None:
    """Writes the page to `flags.output`; without that, shows it until it is interrupted.

    Args:
      flags: those of `meta_tf.runs.flags.demo_groups`, as `read_flags` returns them.
    """
    if flags.output:
        check_folder(Path(flags.output))
    import_modules(flags)
    shown = learners_of(flags.learner)
    package = runtime_package(flags.runtime)
    if flags.output:
        size = _write(shown, Path(flags.output), package)
        print(
            f"Written to {flags.output} ({size / 1e6:.1f} MB). Any static host shows it, this "
            f"machine by: python -m http.server --directory {flags.output}"
        )
        return
    with temporary_folder() as temporary:
        folder = temporary / "page"
        _write(shown, folder, package)
        _show(folder, flags.port, flags.browser)


def learners_of(names: str) -> list[Shown]:
    """The learners that `--learner` names, with commas between them.

    Raises:
      ValueError: if there is none of a name, or it is something else.
    """
    shown = []
    for given in names.split(","):
        # A file or a folder is called by its name; a run's file, by the run's.
        path = Path(given)
        name = path.absolute().parent.name if path.name == "learner.keras" else path.stem
        known = zoo.trained_on(given) if given in zoo.names() else None
        shown.append(Shown(load(given, "learner"), name, known))
    return shown


def _write(shown: list[Shown], folder: Path, package: Path) -> int:
    error: Exception | None = None
    with hidden_stderr():  # the converters write pages
        try:
            return write_page(shown, folder, package)
        except (ImportError, ValueError) as raised:
            error = raised
    raise RuntimeError(str(error)) from error


def _show(folder: Path, port: int, browser: bool) -> None:
    """Shows the page in the browser until interrupted."""
    with served(folder, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = address_of(server)
        print(f"The page is at {address}, for this machine alone, until Ctrl+C.", flush=True)
        if browser:
            webbrowser.open(address)
        stop.current().wait()
        server.shutdown()
        thread.join()
