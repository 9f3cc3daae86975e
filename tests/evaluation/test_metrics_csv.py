import math

import pytest

from meta_tf.evaluation.metrics_csv import read_metrics


def test_rows_are_numbers_and_gaps_are_nan(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,loss,seconds\n500,1.5,2\n1000,0.25,\n")
    first, second = read_metrics(path)
    assert first == {"iteration": 500, "loss": 1.5, "seconds": 2.0}
    assert isinstance(first["iteration"], int)
    assert (second["iteration"], second["loss"]) == (1000, 0.25)
    assert math.isnan(second["seconds"])


def test_a_missing_file_has_no_rows_and_text_is_rejected(tmp_path):
    path = tmp_path / "metrics.csv"
    assert read_metrics(path) == []
    path.write_text("iteration,loss\n500,low\n")
    with pytest.raises(ValueError, match="low"):
        read_metrics(path)
