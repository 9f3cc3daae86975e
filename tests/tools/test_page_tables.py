"""The page on the drawing page says what its measurements say."""

from tools.page import tables


def test_the_tables_are_what_was_measured():
    text = tables.PAGE.read_text(encoding="utf-8")
    assert "<!-- table browser -->" in text
    assert tables.filled(text) == text, "run: python -m tools.page.tables"


def test_other_measurements_change_them(monkeypatch, tmp_path):
    measured = tables.browser.RESULTS.read_text(encoding="utf-8")
    (tmp_path / "page_browser.json").write_text(measured.replace('"right": 0.99', '"right": 0.12'))
    monkeypatch.setattr(tables.browser, "RESULTS", tmp_path / "page_browser.json")
    before = tables.PAGE.read_text(encoding="utf-8")
    assert "99.2 % of 500" in before and "12.2 % of 500" in tables.filled(before)
