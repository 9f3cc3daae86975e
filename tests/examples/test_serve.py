"""The example of a service: its answers are the library's, and what is wrong is told."""

import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.calibration import softmax
from tests.learners import CE

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "serve.py"
WAYS, KEEP = 3, 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(p) for p in ("fastapi", "httpx2", "uvicorn")),
        reason="needs fastapi, uvicorn and httpx2",
    ),
]


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    model = meta_tf.models.mlp((4, 2), WAYS, (40,), "relu", "glorot_uniform")
    model.set_weights([4 * w for w in model.get_weights()])  # so that sums can overflow
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.05, inner_steps=2), CE)
    temperatures = {(2, 1): 4.0, (2, 4): 2.0, (3, 1): 3.0, (3, 4): 1.5}
    thresholds = {(2, 1): 0.6, (3, 1): 0.4, (3, 4): -0.4}
    learner.calibration = meta_tf.Calibration(temperatures, thresholds, spread=0.2)
    return learner


@pytest.fixture(scope="module")
def folder(learner, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "saved_model"
    learner.export(path)
    return path


@pytest.fixture(scope="module")
def serve():
    spec = importlib.util.spec_from_file_location("serve", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve"] = module  # its annotations are looked up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def loaded(serve, folder):
    return serve.Learner(str(folder))


@pytest.fixture
def client(serve, loaded):
    from fastapi.testclient import TestClient

    return TestClient(serve.make_app(loaded, KEEP, ["testserver"]))


def task(classes=WAYS, seed=0):
    x = np.random.default_rng(seed).normal(size=[2 * classes, 4, 2]).astype("float32")
    return x, np.arange(2 * classes) % classes


def learn(client, **changes):
    x, y = task()
    return client.post("/learn", json={"support_x": x.tolist(), "support_y": y.tolist(), **changes})


def predict(client, number, x):
    return client.post(f"/predict/{number}", json={"query_x": x.tolist()})


@pytest.mark.parametrize("classes", [WAYS, WAYS - 1])
def test_it_answers_as_the_library_does(classes, client, learner):
    names = ["ka", "ga", "あ"][:classes]
    x, y = task(classes)
    answer = learn(client, support_x=x.tolist(), support_y=y.tolist(), classes=names)
    assert answer.status_code == 201 and answer.json()["classes"] == names
    query = np.concatenate([x, task(seed=1)[0]])
    found = predict(client, answer.json()["id"], query)
    assert found.status_code == 200
    expected = learner.adapt(x, y)(query).numpy()[:, :classes]
    np.testing.assert_allclose(found.json()["predictions"], expected, rtol=1e-5, atol=1e-6)
    assert found.json()["answers"] == [names[i] for i in expected.argmax(-1)]
    fitted = learner.adapt(x, y)
    np.testing.assert_allclose(
        found.json()["probabilities"], softmax(expected / fitted.temperature), rtol=1e-4, atol=1e-6
    )
    strange = fitted.predict_with_strangeness(query)[1]
    np.testing.assert_allclose(
        found.json()["strangeness"], strange + fitted.threshold, rtol=1e-4, atol=1e-4
    )
    assert found.json()["none_of_these"] == (strange > 0).tolist()
    assert len(set(found.json()["none_of_these"])) == 2


CALIBRATED = {"probabilities", "strangeness", "none_of_these"}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (
            lambda about: about["thresholds"].update(batch_with="support"),
            {"strangeness", "none_of_these"},
        ),
        (lambda about: about.pop("thresholds"), {"strangeness", "none_of_these"}),
        (lambda about: (about.pop("thresholds"), about.pop("temperature")), CALIBRATED),
    ],
    ids=["transductive", "of an earlier version", "not calibrated"],
)
def test_other_learners_do_not_say_what_is_none_of_the_classes(
    change, missing, serve, folder, tmp_path
):
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy" / "assets.extra" / "meta_tf.json"
    about = json.loads(file.read_text())
    change(about)
    file.write_text(json.dumps(about))
    loaded = serve.Learner(str(tmp_path / "copy"))
    x, y = task()
    support = serve.Support(support_x=x.tolist(), support_y=y.tolist())
    answer = loaded.predict(serve.Query(query_x=x.tolist()), loaded.learn(support))
    assert answer.keys() == ({"answers", "classes", "predictions"} | CALIBRATED) - missing
    assert not loaded.judges


@pytest.mark.parametrize(
    ("largest", "factor", "taken"),
    [(None, 255, True), (1, 1, True), (1, 255, False), (255, 255, True), (255, 1, False)],
)
def test_pixels_of_another_range_are_refused(largest, factor, taken, client, loaded, monkeypatch):
    monkeypatch.setitem(loaded._about, "largest_input", largest)
    pixels = np.round(factor * np.linspace(0, 1, 6 * 8), 0 if factor == 255 else 3)
    answer = client.post(
        "/learn",
        json={"support_x": pixels.reshape(6, 4, 2).tolist(), "support_y": [0, 1, 2, 0, 1, 2]},
    )
    assert answer.status_code == (201 if taken else 422)
    assert taken or f"the range of the training, 0 to {largest}." in answer.json()["detail"]


def test_classes_without_names_are_called_by_their_numbers(client):
    assert learn(client).json()["classes"] == ["0", "1", "2"]


def test_the_least_recently_used_task_is_removed(client):
    first, second = (learn(client).json()["id"] for _ in range(KEEP))
    query = task(seed=1)[0]
    assert predict(client, first, query).status_code == 200
    third = learn(client).json()["id"]
    codes = {n: predict(client, n, query).status_code for n in (first, second, third)}
    assert codes == {first: 200, second: 404, third: 200}
    assert client.get("/health").json() == {
        "status": "ok", "tasks": KEEP, "keep": KEEP, "ways": WAYS
    }  # fmt: skip


def test_an_unknown_task_is_reported(client):
    answer = predict(client, "nobody", task()[0])
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("No task 'nobody' is stored")


X, Y = (part.tolist() for part in task())
WRONG_TASKS = {
    "a number short": ({"support_x": [example[1:] for example in X]}, "[examples, 4, 2]"),
    "ragged": ({"support_x": [X[0][1:], *X[1:]]}, "unequal lengths"),
    "text": ({"support_x": [[["1", "2"]] * 4] * 6}, "not a number"),
    "truths": ({"support_x": [[[True, False]] * 4] * 6}, "not a number"),
    "null": ({"support_x": [[[None, 1.0]] * 4] * 6}, "not a number"),
    "too large": ({"support_x": [[[1e39, 1.0]] * 4] * 6}, "infinite"),
    "no list": ({"support_x": 3}, "support_x`"),
    "none": ({"support_x": [], "support_y": []}, "support_x`"),
    "lengths": ({"support_y": [0, 1, 2]}, "6 examples, and `support_y` 3"),
    "fraction": ({"support_y": [0, 1, 2, 0, 1, 0.5]}, "support_y.5`"),
    "label in words": ({"support_y": ["a", 1, 2, 0, 1, 2]}, "support_y.0`"),
    "negative": ({"support_y": [-1, 1, 2, -1, 1, 2]}, "from 0 to 2"),
    "out of range": ({"support_y": [0, 1, 3, 0, 1, 3]}, "from 0 to 2"),
    "far out of range": ({"support_y": [0, 1, 2**40, 0, 1, 2]}, "at most 3"),
    "too many classes": ({"support_y": [0, 1, 2, 3, 0, 1]}, "at most 3"),
    "too many names": ({"classes": ["a", "b", "c", "d"]}, "at most 3"),
    "a name twice": ({"classes": ["a", "b", "a"]}, "different"),
    "a name without examples": ({"support_y": [0, 1, 0, 1, 0, 1], "classes": list("abc")},
                                "from 0 to 2"),
    "a long name": ({"classes": ["a" * 101, "b", "c"]}, "classes.0`"),
    "half a character": ({"classes": ["\ud800", "b", "c"]}, "classes.0`"),
    "too many examples": ({"support_x": X * 40, "support_y": Y * 40}, "at most 200"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TASKS)
def test_an_invalid_task_is_reported_in_a_sentence(name, client):
    changes, words = WRONG_TASKS[name]
    body = json.dumps({"support_x": X, "support_y": Y, **changes})
    answer = client.post("/learn", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    sentence = answer.json()["detail"]
    assert words in sentence and sentence.endswith(".")
    assert client.get("/health").json()["tasks"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"query_x": [[[NaN, 1], [1, 1], [1, 1], [1, 1]]]}', "nan"),
        ('{"query_x": [[[3e38, 3e38], [3e38, 3e38], [3e38, 3e38], [3e38, 3e38]]]}', "not finite"),
        ('{"query": [1]}', "query_x`"),
        ("[1, 2]", "body"),
        ("ink", "JSON"),
        ("", "body"),
        ('{"query_x": ' + "[" * 70 + "1" + "]" * 70 + "}", "[examples, 4, 2]"),
    ],
    ids=["nan", "overflow", "missing", "no object", "no json", "empty", "nested"],
)
def test_invalid_queries_are_reported_in_a_sentence(body, words, client):
    number = learn(client).json()["id"]
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"/predict/{number}", content=body, headers=headers)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_lists_too_deep_to_be_read_are_refused(client):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/learn", content="[" * 3000, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_body_without_a_length_is_rejected(client):
    answer = client.post("/learn", content=iter([b"{}"]))
    assert answer.status_code == 411
    assert "length" in answer.json()["detail"]


# 200 examples of 4 x 2 numbers, each 2 + 4 + 8 parts, and 1000.
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (" " * 4_000_001, "4000000 bytes"),
        ('{"query_x": [' + "[]," * 4000 + "[]]}", "3800 lists and numbers"),
        ('{"query_x": [' + "1," * 4000 + "1]}", "3800 lists and numbers"),
    ],
    ids=["bytes", "lists", "numbers"],
)
def test_a_body_that_is_or_becomes_too_large_is_rejected_unread(body, words, client):
    for path in ("/learn", "/predict/nobody"):
        answer = client.post(path, content=body)
        assert answer.status_code == 413
        assert words in answer.json()["detail"]


@pytest.mark.parametrize("host", ["elsewhere.example", "testserver.elsewhere.example", ""])
def test_a_request_to_another_host_is_rejected(host, client):
    """A page elsewhere could let its own name lead to this machine."""
    answer = client.get("/health", headers={"Host": host})
    assert answer.status_code == 421
    assert "answers for testserver" in answer.json()["detail"]
    assert client.get("/health", headers={"Host": "testserver:8000"}).status_code == 200


SLOW = {
    "nothing": b"",
    "half a head": b"POST /learn HTTP/1.1\r\nHost: local",
    "half a body": b"POST /learn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    "nothing more": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_a_connection_that_idles_is_closed(name, serve, folder, monkeypatch):
    import uvicorn

    monkeypatch.setattr(serve, "SEND_SECONDS", 0.2)
    app = serve.make_app(serve.Learner(str(folder)), KEEP, ["localhost"])
    config = uvicorn.Config(
        app, port=0, log_level="critical", http=serve.Protocol, timeout_keep_alive=0.2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        address = server.servers[0].sockets[0].getsockname()
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(SLOW[name])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))  # until it is closed
        first = answer.split(b"\r\n")[0]
        expected = {"half a body": b"HTTP/1.1 408 ", "nothing more": b"HTTP/1.1 200 OK"}
        assert first.startswith(expected.get(name, b"")) and bool(first) == (name in expected)
    finally:
        server.should_exit = True
        thread.join()


def test_what_is_no_classifier_is_refused(serve, tmp_path):
    regression = meta_tf.MetaLearner(meta_tf.models.mlp(1, 1), meta_tf.MAML(), "mse")
    regression.export(tmp_path / "regression")
    with pytest.raises(ValueError, match="does not learn class numbers"):
        serve.Learner(str(tmp_path / "regression"))


ALONE = """
import runpy, sys
sys.modules["meta_tf"] = None  # importing it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_program_serves_without_the_library(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", ALONE, EXAMPLE, folder, f"--port={port}", "--keep=10"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert _health(port, process)["keep"] == 10
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=60)
    # 8 x 40 + 40 + 40 x 3 + 3 floats of 4 bytes: 0.002 MB, which rounds to 0.
    assert "10 tasks are kept" in out


def _health(port, process):
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            return json.loads(connection.getresponse().read())
        except ConnectionRefusedError:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
        finally:
            connection.close()


def test_a_folder_without_a_learner_is_told_in_a_line(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{tmp_path} is not an exported classifier" in done.stderr.splitlines()[-1]
