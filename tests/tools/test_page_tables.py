"""The page on the drawing page says what its measurements say."""

import json

from tools.page import tables


def test_the_tables_are_what_was_measured():
    text = tables.PAGE.read_text(encoding="utf-8")
    assert "<!-- table browser -->" in text
    assert tables.filled(text) == text, "run: python -m tools.page.tables"


def test_other_measurements_change_them(monkeypatch, tmp_path):
    found = json.loads(tables.browser.RESULTS.read_text(encoding="utf-8"))
    for row in found.values():
        row["right"] = 0.123
    (tmp_path / "page_browser.json").write_text(json.dumps(found))
    monkeypatch.setattr(tables.browser, "RESULTS", tmp_path / "page_browser.json")
    before = tables.PAGE.read_text(encoding="utf-8")
    assert "12.3 % of" in tables.filled(before) and "12.3 % of" not in before
