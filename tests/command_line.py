"""Runs the command `meta-tf` as its users do, in processes of its own.

Importing TensorFlow takes seconds. So most processes are forked from one that has imported it,
and has done nothing with it. What is about signals or imports uses `start`, which forks nothing.
"""

import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["tests.imported"])


def start(*words, cwd=ROOT):
    """Starts `meta-tf` with these words, from its imports on."""
    program = [sys.executable, "-m", "meta_tf.command", *map(str, words)]
    return subprocess.Popen(
        program,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words, cwd=ROOT):
    """The exit code, output and errors of one command."""
    (answer,) = one_after_another([words], cwd)
    return answer


def one_after_another(calls, cwd=ROOT):
    """Runs several commands in one process: for each (code, out, err)."""
    with tempfile.TemporaryDirectory() as folder:
        calls = [[str(word) for word in words] for words in calls]
        code, out, err = forked(_commands, calls, folder, cwd=cwd, timeout=300 * len(calls))
        assert code == 0 and "Traceback" not in out + err, out + err
        return [
            (int(Path(folder, f"{i}.code").read_text()), *_texts(Path(folder, str(i))))
            for i in range(len(calls))
        ]


def run_program(path, *words, cwd, env=()):
    """The exit code, output and errors of a program in Python."""
    return forked(_program, str(path), [str(word) for word in words], cwd=cwd, env=env)


def forked(function, *arguments, cwd, env=(), timeout=300):
    """Calls a function of a module in a new process: its exit code, output and errors."""
    with tempfile.TemporaryDirectory() as folder:
        streams = Path(folder, "process")
        process = _FORKING.Process(
            target=_called, args=(function, arguments, str(cwd), dict(env), streams)
        )
        with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):  # for that which is forked
            process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{arguments} took more than {timeout} s. {_texts(streams)}")
        return process.exitcode, *_texts(streams)


def _called(function, arguments, cwd, env, streams):
    os.chdir(cwd)
    os.environ.update(env)
    sys.path[:] = ["", str(ROOT), *(path for path in sys.path if path not in ("", str(ROOT)))]
    _write_to(streams)
    function(*arguments)


def _commands(calls, folder):
    from meta_tf.command.main import main

    sys.argv[0] = "meta-tf"
    for i, words in enumerate(calls):
        with _written_to(Path(folder, str(i))):
            code = main(words)
        Path(folder, f"{i}.code").write_text(str(code))


def _program(path, words):
    sys.argv[:] = [path, *words]
    runpy.run_path(path, run_name="__main__")


@contextlib.contextmanager
def _written_to(path):
    before = [os.dup(1), os.dup(2)]
    _write_to(path)
    try:
        yield
    finally:
        for number, stream, screen in zip((1, 2), (sys.stdout, sys.stderr), before, strict=True):
            stream.flush()
            os.dup2(screen, number)
            os.close(screen)


def _write_to(path):
    """Sends what is written to stdout and stderr, also from C++, to two files."""
    for number, name in ((1, "out"), (2, "err")):
        with open(f"{path}.{name}", "wb") as file:
            os.dup2(file.fileno(), number)


def _texts(path):
    return [Path(f"{path}.{name}").read_text() for name in ("out", "err")]
