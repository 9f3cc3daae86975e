"""Recipes that are told what is not so: one line, the exit code 1, and no folder of half a set."""

import importlib

import pytest

WRONG = [
    ("chinese_characters", ["--debs=nowhere"], "--debs must be a folder with fonts-"),
    ("chinese_characters", ["--output=file"], "file"),
    ("road_signs", ["--tgz=none.tgz"], "none.tgz"),
    ("road_signs", ["--tgz=file"], "must have SHA-512"),
    ("road_signs", ["--output=file"], "file"),
    ("vowel", ["--deb=none.deb"], "none.deb"),
    ("vowel", ["--output=file/vowel.csv"], "file"),
    ("remifentanil", ["--deb=none.deb"], "none.deb"),
    ("remifentanil", ["--output=file/remifentanil.csv"], "file"),
    ("voices", ["--debs=nowhere"], "--debs must be a folder with klettres-data_"),
    ("voices", ["--output=file"], "file"),
]


@pytest.mark.parametrize(("recipe", "words", "told"), WRONG, ids=lambda part: str(part))
def test_a_wrong_flag_is_answered_in_one_line(recipe, words, told, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(b"something else")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [recipe, *words])
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"benchmarks.data.{recipe}").main()
    error = capsys.readouterr().err
    assert stopped.value.code == 1
    assert error.startswith(f"{recipe}: error: ") and error.count("\n") == 1
    assert told in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file"]


def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    from benchmarks.data import vowel

    def lacking(*_):
        raise ModuleNotFoundError("No module named 'rdata'", name="rdata")

    monkeypatch.setattr(vowel, "file_of", lacking)
    monkeypatch.setattr("sys.argv", ["vowel", f"--output={tmp_path / 'vowel.csv'}"])
    with pytest.raises(SystemExit) as stopped:
        vowel.main()
    cure = "pip install -r benchmarks/data/requirements.txt"
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"vowel: error: rdata is not installed: {cure}\n"
