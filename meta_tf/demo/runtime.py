"""onnxruntime-web, what runs the learner in a browser: fetched by npm, once, and checked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import platformdirs

from meta_tf.files import temporary_folder, whole_folder

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# Of the package's archive: whatever delivers it, it is this one or none.
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZ"
    "ClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
LICENCE = Path(__file__).resolve().parent / "onnxruntime-web.LICENSE.txt"  # it has none in it
# Of its files, the smallest set that computes on the processor.
FILES = (
    "package.json",
    "dist/ort.wasm.min.mjs",
    "dist/ort-wasm-simd-threaded.mjs",
    "dist/ort-wasm-simd-threaded.wasm",
)


def runtime_package(package: str | Path | None = None) -> Path:
    """The folder of the unpacked package, fetched if it is not there yet.

    Args:
      package: the folder, if somebody else has fetched it; None for the user's cache
        folder, into which npm fetches it (of the files, the page's alone stay).

    Raises:
      ValueError: if `package` is something else, or another version.
      RuntimeError: if npm is missing, cannot fetch it, or brings something else.
    """
    if package is not None:
        return _checked(Path(package).expanduser())
    cache = platformdirs.user_cache_path("meta_tf", appauthor=False)
    folder = cache / f"{PACKAGE}-{VERSION}"
    if not folder.is_dir():
        _fetch(folder)
    return folder


def copy_runtime(package: Path, folder: Path) -> None:
    """Copies what the page needs of the unpacked package, side by side, into a new folder.

    WebAssembly of 14 MB becomes 4 MB by gzip, which the page undoes by itself, as few static
    hosts compress. The ending is not `.gz`: some hosts would have the browser undo that.
    """
    folder.mkdir()
    for name in FILES:
        content = (package / name).read_bytes()
        if name.endswith(".wasm"):
            packed = gzip.compress(content, mtime=0)
            (folder / f"{Path(name).name}.gzip").write_bytes(packed)
        else:
            (folder / Path(name).name).write_bytes(content)
    shutil.copyfile(LICENCE, folder / LICENCE.name)


def _checked(package: Path) -> Path:
    """The folder, if it is the unpacked package."""
    try:
        about = json.loads((package / "package.json").read_text(encoding="utf-8"))
        found = f"{about['name']} {about['version']}"
    except (OSError, ValueError, KeyError):
        found = "no package.json of one"
    missing = [name for name in FILES if not (package / name).is_file()]
    if found != f"{PACKAGE} {VERSION}" or missing:
        lacking = f", without {', '.join(missing)}" if missing else ""
        raise ValueError(
            f"`runtime` must be the unpacked npm package {PACKAGE} {VERSION}. Received: "
            f"{str(package)!r}, which holds {found}{lacking}."
        )
    return package


def _fetch(folder: Path) -> None:
    """Has npm fetch the package, and keeps the page's files of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            f"npm is needed once, to fetch {PACKAGE} {VERSION}, which runs the learner in a "
            "browser. Install npm, which comes with Node.js, or name the unpacked package: "
            "--runtime=FOLDER."
        )
    with temporary_folder() as temporary:
        archive = _packed(npm, temporary)
        _check_integrity(archive)
        with whole_folder(folder) as part, tarfile.open(archive) as files:
            for name in FILES:
                content = files.extractfile(f"package/{name}")
                if content is None:
                    raise RuntimeError(f"{PACKAGE} {VERSION} lacks {name}.")
                path = part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())


def _packed(npm: str, folder: Path) -> Path:
    """The package's archive, as npm fetches it."""
    done = subprocess.run(
        [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RuntimeError(
            f"npm cannot fetch {PACKAGE} {VERSION}: {said}. Try again with a network, or name the "
            "unpacked package: --runtime=FOLDER."
        )
    return archives[0]


def _check_integrity(archive: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise RuntimeError(
            f"What npm has fetched is not {PACKAGE} {VERSION} as it was published: its checksum is "
            f"sha512-{digest}, where {INTEGRITY} was expected. Check npm's settings, or name the "
            "unpacked package: --runtime=FOLDER."
        )
