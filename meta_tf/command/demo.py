"""`meta-tf demo`: a page that learns, in the browser, what is drawn or shown."""

from __future__ import annotations

import dataclasses
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

from meta_tf import zoo
from meta_tf.command.learners import load
from meta_tf.command.quiet import hidden_stderr
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.serve import address_of, served, usual_port
from meta_tf.demo.shown import Shown
from meta_tf.demo.write import check_folder, write_page
from meta_tf.files import temporary_folder
from meta_tf.run import stop
from meta_tf.run.settings import AtLeast


@dataclasses.dataclass(frozen=True)
class Demo:
    """What to show, and where.

    Args:
      learner: a .keras file, a run's folder, or a shipped learner. Several, with commas between
        them, are a choice. `photos`, for photographs, has a page of its own, with a camera.
      output: a folder to write the page to, instead of showing it.
      runtime: the unpacked npm package onnxruntime-web, where npm cannot fetch it.
      port: where to show the page; if 0, the usual port or, if that is taken, any free one. A
        browser keeps what it was taught by the page's address, which includes the port.
      browser: whether to open it in a browser.
    """

    learner: str = "omniglot,chinese_characters"
    output: str | Path | None = None
    runtime: str | Path | None = None
    port: Annotated[int, AtLeast(0)] = 0
    browser: bool = True


GROUPS = {"demo": [Demo, "--import"]}
EXAMPLES = """
  meta-tf demo
  meta-tf demo --learner=photos
  meta-tf demo --output=page
  meta-tf demo --learner=runs/mine/learner.keras --output=page
It needs the extra onnx, and npm once, which fetches what runs the learner in a browser.
"""


def run(asked: Demo) -> None:
    """Writes the page to `output`; without that, shows it until it is interrupted."""
    if asked.output:
        check_folder(Path(asked.output))
    shown = learners_of(asked.learner)
    package = runtime_package(asked.runtime)
    if asked.output:
        size = _write(shown, Path(asked.output), package)
        print(
            f"Written to {asked.output} ({size / 1e6:.1f} MB). Any static host shows it, this "
            f"machine by: python -m http.server --directory {asked.output}"
        )
        return
    with temporary_folder() as temporary:
        folder = temporary / "page"
        _write(shown, folder, package)
        _show(folder, asked.port, asked.browser)


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
        known = zoo.trained_on(given) if given in zoo.characters() else None
        shown.append(Shown(load(given, "learner"), name, known))
    return shown


def _write(shown: list[Shown], folder: Path, package: Path) -> int:
    """Writes the page, and returns its size in bytes."""
    with hidden_stderr(ImportError, ValueError):  # converters print pages
        return write_page(shown, folder, package)


def _show(folder: Path, port: int, browser: bool) -> None:
    """Shows the page in the browser until interrupted."""
    with served(folder, port or usual_port()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = address_of(server)
        print(f"The page is at {address}, for this machine alone, until Ctrl+C.", flush=True)
        if browser:
            webbrowser.open(address)
        stop.current().wait()
        server.shutdown()
        thread.join()
