"""What `pip install .` brings."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_wheel_holds_the_program_its_presets_and_learners_and_no_tests(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "meta-tf = meta_tf.command.main:main" in archive.read(entry).decode()
    for folder, pattern in (
        ("command/presets", "*.flags"),
        ("zoo", "*.keras"),
        ("zoo", "*.json"),
        ("zoo", "*.npz"),
        ("zoo", "*.LICENSE.txt"),
        ("demo/page", "*.*"),
        ("demo/page/drawings", "*.*"),
        ("demo/page/drawings/words", "*.js"),
        ("demo/page/photographs", "*.*"),
        ("demo/page/photographs/words", "*.js"),
    ):
        files = list((ROOT / "meta_tf" / folder).glob(pattern))
        assert files
        assert {f"meta_tf/{folder}/{path.name}" for path in files} <= names
    assert "meta_tf/py.typed" in names
    outside = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert outside == {"meta_tf"}
