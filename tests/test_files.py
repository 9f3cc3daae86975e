import os
import re

import pytest

from meta_tf import files


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "notes.txt"
    files.write_text(path, "before")
    files.write_text(path, "λ")
    assert path.read_text(encoding="utf-8") == "λ"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_write_that_fails_leaves_the_file_before(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="half way"), files.whole_file(path) as part:
        part.write_text("aft")
        raise RuntimeError("half way")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_the_folder_of_a_file_is_made_and_an_error_names_the_file(tmp_path):
    path = tmp_path / "new" / "folder" / "notes.txt"
    files.write_text(path, "text")
    assert path.read_text() == "text"
    with pytest.raises(IsADirectoryError) as caught:
        files.write_text(path.parent, "text")
    assert caught.value.filename == str(path.parent)
    with pytest.raises(FileNotFoundError) as caught, files.whole_file(path) as part:
        part.unlink(missing_ok=True)  # as by another program
    assert caught.value.filename == str(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("new/folder/a.keras", ""),
        ("a.h5", "`--save` must end in .keras or .json. Received: .*a.h5"),
        ("folder.keras", "`--save` must be a file. Received: .*, which is a folder"),
        ("file/a.keras", "must be in a folder that can be written to. .*file/a.keras; .*file is"),
    ],
)
def test_where_a_file_can_be_written_is_checked_before_it_is_made(tmp_path, path, words):
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "file").touch()
    found = ""
    try:
        files.check_writable("`--save`", tmp_path / path, ".keras", ".json")
    except ValueError as error:
        found = str(error)
    assert re.search(words, found) if words else not found
    assert set(os.listdir(tmp_path)) == {"folder.keras", "file"}


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_disk_that_fails_leaves_the_file_before(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError("no space left")

    path = tmp_path / "notes.txt"
    path.write_text("before")
    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match="no space left"):
        files.write_text(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_what_is_written_is_synced_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda d: (calls.append("fsync"), fsync(d)))
    monkeypatch.setattr(files.os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    files.write_text(tmp_path / "notes.txt", "text")
    assert calls == ["fsync", "replace", "fsync"]


def write_folder(path, text):
    with files.whole_folder(path) as part:
        (part / "inside").mkdir(parents=True)
        (part / "inside" / "notes.txt").write_text(text)


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "model"
    write_folder(path, "before")
    (path / "old.txt").write_text("goes")
    write_folder(path, "after")
    assert (path / "inside" / "notes.txt").read_text() == "after"
    assert not (path / "old.txt").exists()
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_that_cannot_be_renamed_leaves_the_one_before(tmp_path, monkeypatch):
    path, rename = tmp_path / "model", os.rename
    write_folder(path, "before")

    def fail_on_the_new_one(a, b):
        if str(b) == str(path) and (a / "inside" / "notes.txt").read_text() == "after":
            raise OSError("no")
        rename(a, b)

    monkeypatch.setattr(files.os, "rename", fail_on_the_new_one)
    with pytest.raises(OSError, match="no"):
        write_folder(path, "after")
    assert (path / "inside" / "notes.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_that_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    write_folder(tmp_path / "model", "before")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    write_folder(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "model" / "inside" / "notes.txt").read_text() == "after"
