"""The recipes and baselines of the real problems, on made-up data."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data import remifentanil
from benchmarks.nearest import class_mean, whitening
from benchmarks.ridge import errors

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "data"


def _lists(name):
    told = json.loads((FOLDER / name).read_text())
    return [told[part] for part in ("train", "valid", "test")]


def test_vowel_has_the_official_speakers_for_its_test():
    train, valid, test = _lists("vowel_groups.json")
    assert sorted(train + valid) == list(range(8))
    assert test == list(range(8, 15))


def test_every_patient_is_tested_once_and_never_trained_on():
    tested = []
    for fold in range(5):
        train, valid, test = _lists(f"remifentanil_groups_{fold}.json")
        assert sorted(train + valid + test) == list(range(1, 66))
        tested += test
    assert sorted(tested) == list(range(1, 66))


def test_doses_are_moving_means_of_the_rate():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"Subject": ["7"] * 3, "Time": [0.0, 2.0, 5.0], "Rate": [60.0, 0.0, 0.0],
         "conc": [np.nan, 4.0, 2.0], "Age": 30.0, "Ht": 170.0, "Wt": 70.0, "BSA": 1.8,
         "LBM": 55.0, "Sex": "Male"}
    )  # fmt: skip
    rows = remifentanil.table(frame)
    # Two minutes of 60, of which 60 (1 - e^{-2/m}) is left, then three minutes of nothing.
    for minutes in (1, 10, 100):
        after = 60 * (1 - np.exp(-2 / minutes)) * np.array([1, np.exp(-3 / minutes)])
        np.testing.assert_allclose(rows[f"dose_{minutes}min"], np.log1p(after))
    np.testing.assert_allclose(rows["log_concentration"], np.log([4, 2]))
    assert rows["patient"].tolist() == [7, 7]
    assert rows["infusion_rate"].tolist() == [60, 60]
    assert rows["infusion_minutes"].tolist() == [2, 2]


def test_ridge_on_the_support_set_finds_what_a_group_has_of_its_own():
    rng = np.random.default_rng(0)

    def group(n):
        x = rng.normal(size=[n, 2])
        return x, x[:, :1] * (3 + rng.normal()) + 0.01 * rng.normal(size=[n, 1])

    known = [group(20) for _ in range(20)]
    tasks = [(x[:5], y[:5], x[5:], y[5:]) for x, y in (group(25) for _ in range(40))]
    population, _, own = (np.mean(values) for values in errors(known, tasks).values())
    assert own < population / 2


def test_whitening_forgets_what_varies_within_a_class():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    x = np.stack([labels + 0.1 * rng.normal(size=400), 50 * rng.normal(size=400)], 1)
    task = x[:2], labels[:2], x[2:], labels[2:]
    turned = whitening([(x, labels)])
    assert class_mean(task, turned) > 0.95 > 0.7 > class_mean(task, np.eye(2))
