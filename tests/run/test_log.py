import pytest

from meta_tf.run.log import RunLog, training_minutes


def write(folder, *lines):
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_the_minutes_are_the_sum_of_the_epochs(tmp_path):
    assert training_minutes(tmp_path) is None  # no epoch yet
    write(tmp_path, "iteration,loss,seconds", "10,1.0,90.0", "20,0.5,45.0")
    assert training_minutes(tmp_path) == pytest.approx((90 + 45) / 60)


@pytest.mark.parametrize(
    "lines",
    [
        ["iteration,loss", "10,1.0"],
        ["iteration,loss,seconds", "10,1.0,", "20,0.5,45.0"],  # gone on with later
    ],
)
def test_minutes_that_were_not_all_counted_are_not_told(lines, tmp_path):
    write(tmp_path, *lines)
    assert training_minutes(tmp_path) is None


def test_epochs_that_are_made_again_are_counted_once(tmp_path):
    write(tmp_path, "iteration,loss,seconds", "10,1.0,60.0", "20,0.5,60.0")
    RunLog(tmp_path, iteration=10)  # goes on from the checkpoint of step 10
    assert training_minutes(tmp_path) == 1
