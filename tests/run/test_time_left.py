"""What a training says about how long it will take."""

import pytest

from meta_tf.run.fit import TimeLeft, in_words


def told_after(calls, capsys, total=1000, steps_per_call=10, pace=2.0, done=0, seconds=10.0):
    """What is printed, call by call of one epoch, if a step takes `pace` seconds."""
    times = iter([600.0 + steps_per_call * pace * i for i in range(calls)])  # 600 to compile
    callback = TimeLeft(done, total, seconds=seconds, clock=lambda: next(times))
    callback.on_epoch_begin(0)
    lines = []
    for call in range(calls):
        callback.on_train_batch_end((call + 1) * steps_per_call - 1)
        lines.append(capsys.readouterr().out)
    return lines


def test_the_pace_is_told_once_and_without_the_first_call(capsys):
    first, second, *others = told_after(5, capsys)
    # 20 steps are made at 2 seconds each; 980 are left: 1960 seconds.
    assert "About 33 minutes for the remaining 980 outer steps" in second
    assert first == "" and set(others) == {""}


def test_a_run_that_goes_on_counts_what_it_has(capsys):
    assert "for the remaining 480 outer steps" in told_after(2, capsys, done=500)[1]


def test_nothing_is_told_before_the_pace_is_known_or_at_the_end(capsys):
    assert told_after(3, capsys, seconds=100.0) == ["", "", ""]
    assert told_after(2, capsys, total=20) == ["", ""]


def test_steps_of_several_epochs_count(capsys):
    times = iter([0.0, 4.0, 12.0])
    callback = TimeLeft(0, 103, clock=lambda: next(times))
    for epoch in range(3):  # of one step each; 4 and 8 seconds, with a validation in between
        callback.on_epoch_begin(epoch)
        callback.on_train_batch_end(0)
    # 2 steps in 12 seconds, 100 left.
    assert "About 10 minutes for the remaining 100 outer steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((1, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (5399, "90 minutes")),
        *((5400, "1.5 hours"), (36000, "10 hours")),
    ],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
