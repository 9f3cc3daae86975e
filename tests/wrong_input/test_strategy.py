"""A wrong `TF_CONFIG`, or devices that are not there: one line that says what came."""

import json

import pytest
import tensorflow as tf

from meta_tf.command.main import main, read
from meta_tf.run.cluster import read_cluster
from meta_tf.run.devices import set_up_strategy

WORKERS = {"worker": ["host0:2222", "host1:2222"]}
FIRST = {"type": "worker", "index": 0}


def config(cluster=WORKERS, task=FIRST):
    return json.dumps({"cluster": cluster, "task": task})


WRONG = [
    ("{", "Expecting property name"),
    ("host0:2222", "Expecting value"),
    ("[]", '"cluster"'),
    ("3", "int"),
    ('{"task": {"type": "worker", "index": 0}}', '"cluster"'),
    (config({}), '"cluster"'),
    (config(["host0:2222"]), "`cluster` must be a dictionary"),
    (config({"worker": []}), 'a list of addresses for "worker"'),
    (config({"worker": "host0:2222"}), "'worker' must be a list"),
    (config({"worker": ["host0"]}), "'host0' must be an address"),
    (config({"worker": ["host0:"]}), "'host0:' must be an address"),
    (config({"worker": [2222]}), "Task address 2222 must be bytes or unicode"),
    (config({"worker": ["host0:2222", "host0:2222"]}), "the same address"),
    (config({**WORKERS, "ps": ["host2:2222"]}), 'may have "chief"'),
    (config({**WORKERS, "evaluator": ["host2:2222"]}), 'may have "chief"'),
    (config({**WORKERS, "chief": ["host2:2222", "host3:2222"]}), 'one "chief"'),
    (config(task={}), '"task" must have a "type"'),
    (config(task=None), "NoneType"),
    (config(task={"type": "chief", "index": 0}), '"type", one of worker'),
    (config(task={"type": "worker"}), '"index", a number from 0 to 1'),
    (config(task={"type": "worker", "index": 2}), '"index", a number from 0 to 1'),
    (config(task={"type": "worker", "index": -1}), '"index", a number from 0 to 1'),
    (
        config(task={"type": "worker", "index": "one"}),
        "invalid literal for int() with base 10: 'one'",
    ),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_wrong_cluster_is_told_with_what_it_should_be(monkeypatch, text, told):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must be such as") as raised:
        read_cluster()
    message = str(raised.value)
    assert told in message and message.endswith(f"Received: {text}") and "\n" not in message


@pytest.mark.parametrize("text", ["", " ", None])
def test_no_cluster_at_all_is_told_by_the_command(monkeypatch, capsys, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    monkeypatch.setattr("meta_tf.command.train.set_up_device", lambda device, **threads: None)
    assert main(["train", "--strategy=multi_worker"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs the environment variable TF_CONFIG" in line and "Received: none." in line


@pytest.mark.parametrize(
    ("cluster", "task", "number"),
    [
        (WORKERS, FIRST, 0),
        (WORKERS, {"type": "worker", "index": "1"}, 1),
        ({**WORKERS, "chief": ["host2:2222"]}, {"type": "worker", "index": 1}, 2),
        ({**WORKERS, "chief": ["host2:2222"]}, {"type": "chief", "index": 0}, 0),
    ],
)
def test_the_chief_is_the_first_worker_or_one_apart(monkeypatch, cluster, task, number):
    monkeypatch.setenv("TF_CONFIG", config(cluster, task))
    found = read_cluster()
    assert found.number == number
    assert found.addresses == (*cluster.get("chief", ()), *cluster["worker"])


def complaint(*words):
    training = read("train", words).training
    with pytest.raises(ValueError) as raised:
        set_up_strategy(training)
    return str(raised.value)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_no_device_to_share_with_is_told_with_what_to_do():
    told = complaint("--strategy=mirrored")
    assert "--strategy=mirrored" in told and "--logical_devices=2" in told


def test_fewer_tasks_than_replicas_are_refused():
    # As many parts as the CPU has in these tests already.
    told = complaint("--strategy=mirrored", "--logical_devices=2", "--meta_batch_size=1")
    assert told.startswith("--meta_batch_size must be at least 2") and "Received" in told
