"""What runs the learner in a browser: fetched once, checked, or named by the user."""

import base64
import hashlib
import json
import os
import re
import tarfile

import pytest

from meta_tf.demo import runtime

NPM = """#!/bin/sh
echo called >> "{calls}"
{does}
"""


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program in the place of npm, and makes the user's cache folder an empty one."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = tmp_path / "calls"

    def put(does):
        (programs / "npm").write_text(NPM.format(calls=calls, does=does))
        (programs / "npm").chmod(0o755)
        return calls

    return put


@pytest.fixture
def archive(tmp_path):
    """An archive as npm's, of empty files and one that the page does not need."""
    folder = tmp_path / "package"
    for name in (*runtime.FILES, "dist/something.else.wasm"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    path = tmp_path / "fetched.tgz"
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, "package")
    return path


def integrity(path):
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_it_is_fetched_once_and_only_what_the_page_needs_is_kept(npm, archive, monkeypatch):
    monkeypatch.setattr(runtime, "INTEGRITY", integrity(archive))
    calls = npm(f'cp {archive} "$5/"')
    folders = {runtime.runtime_package() for _ in range(2)}
    assert len(folders) == 1 and calls.read_text() == "called\n"
    (folder,) = folders
    found = {str(p.relative_to(folder)) for p in folder.rglob("*.*") if p.is_file()}
    assert found == set(runtime.FILES)
    assert all((folder / name).read_text() == name for name in runtime.FILES)


def test_what_has_another_checksum_is_not_kept(npm, archive):
    npm(f'cp {archive} "$5/"')
    with pytest.raises(RuntimeError, match=re.escape(f"is {integrity(archive)}; expected")):
        runtime.runtime_package()
    assert runtime.INTEGRITY.startswith("sha512-")
    assert not list(archive.parent.glob("cache/meta_tf/*"))


@pytest.mark.parametrize("does", ["echo no network >&2; exit 1", "true"])
def test_npm_that_brings_nothing_is_told_with_what_it_says(npm, does):
    npm(does)
    said = "no network" if "network" in does else "exit code 0"
    with pytest.raises(RuntimeError, match=f"npm cannot fetch {runtime.PACKAGE}.*: {said}.*--runt"):
        runtime.runtime_package()


def test_without_npm_it_is_told_what_to_install(npm, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"npm is needed once.*Install npm.*--runtime=FOLDER"):
        runtime.runtime_package()


def test_a_package_that_somebody_has_unpacked_is_taken_if_it_is_the_right_one(archive):
    package = archive.parent / "package"
    about = {"name": runtime.PACKAGE, "version": runtime.VERSION}
    (package / "package.json").write_text(json.dumps(about))
    assert runtime.runtime_package(package) == package
    (package / runtime.FILES[-1]).unlink()
    with pytest.raises(ValueError, match=f"without {runtime.FILES[-1]}"):
        runtime.runtime_package(package)
    (package / "package.json").write_text(json.dumps({**about, "version": "1.2.3"}))
    with pytest.raises(ValueError, match=r"`runtime` must be .*Received.*1\.2\.3"):
        runtime.runtime_package(package)
    with pytest.raises(ValueError, match=r"no package\.json"):
        runtime.runtime_package(archive.parent)
