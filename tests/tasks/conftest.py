"""What tests of tasks share: a cache folder of their own, so that none of them uses the user's."""

import pytest


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home_cache"))
    return tmp_path / "home_cache" / "meta_tf"
