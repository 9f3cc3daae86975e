"""onnxruntime-web, which runs the learner in a browser: fetched once by npm, and verified."""

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
# The checksum of the package's archive.
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZ"
    "ClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
LICENCE = Path(__file__).resolve().parent / "onnxruntime-web.LICENSE.txt"  # not in the package
# The smallest set of its files that runs on the CPU.
FILES = (
    "package.json",
    "dist/ort.wasm.min.mjs",
    "dist/ort-wasm-simd-threaded.mjs",
    "dist/ort-wasm-simd-threaded.wasm",
)


def runtime_package(package: str | Path | None = None) -> Path:
    """The folder of the unpacked package: `package`, or the user's cache, where npm fetches it.

    Only the files for the page are kept there. Raises ValueError if `package` is something else,
    and RuntimeError if npm is missing, cannot fetch the package, or fetches something else.
    """
    if package is not None:
        return _checked(Path(package).expanduser())
    cache = platformdirs.user_cache_path("meta_tf", appauthor=False)
    folder = cache / f"{PACKAGE}-{VERSION}"
    if not folder.is_dir():
        _fetch(folder)
    return folder


def copy_runtime(package: Path, folder: Path) -> None:
    """Copies the package's files for the page into a new folder.

    Gzip reduces the WebAssembly from 14 MB to 4 MB; the page decompresses it, because few
    static hosts compress files. The suffix is not `.gz`, because some hosts would make the
    browser decompress it.
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
    """Returns the folder if it is the unpacked package."""
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
    """Fetches the package with npm, and keeps the files for the page."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            f"npm is needed once, to fetch {PACKAGE} {VERSION}, which runs the learner in a "
            "browser. Install npm, which comes with Node.js, or pass the unpacked package: "
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
    """The package's archive, fetched by npm."""
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
            f"npm cannot fetch {PACKAGE} {VERSION}: {said}. Check your network, or pass the "
            "unpacked package: --runtime=FOLDER."
        )
    return archives[0]


def _check_integrity(archive: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise RuntimeError(
            f"npm fetched a different file than the published {PACKAGE} {VERSION}: its checksum is "
            f"sha512-{digest}; expected {INTEGRITY}. Check npm's settings, or pass the "
            "unpacked package: --runtime=FOLDER."
        )
