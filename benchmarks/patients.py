"""A new patient's drug concentrations from five blood samples, learned from simulated patients.

    python -m benchmarks.data.remifentanil          # data/remifentanil.csv
    python -m benchmarks.patients

For each of five folds, a compartment model of the population is fitted to the known patients, those
for training and validation. Learners are trained on patients simulated from that population, and
then tuned on the known patients; the validation patients choose the steps. They are ALPaCA, and
an in-context learner that begins with patients simulated from broad ranges, the same for all folds.
The test patients' tasks are those of `benchmarks.real_problems`, so errors are paired with those
recorded there. Continues where it stopped, and writes benchmarks/results/patients.json with the
folds that are done.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import keras
import numpy as np

import meta_tf
from benchmarks import compartments, long_training
from benchmarks.compartments import Infusion, Patient, Population
from benchmarks.interval import interval
from benchmarks.simulated_patients import (
    BROAD,
    SHOTS,
    RealPatients,
    SimulatedPatients,
    inputs,
    invented,
)

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FOLDS, DRAWS = 5, 10
COVARIATES = ["age", "height", "weight", "body_surface", "lean_mass", "male"]
TASKS, EVERY = 32, 50
BROAD_STEPS, STEPS, TUNING_STEPS, TUNING_RATE = 40_000, 1500, 600, 2e-4
INPUTS, HIDDEN = SimulatedPatients.INPUTS, (64, 64)
_MAP = "compartments, maximum a posteriori"
_PAIRED = ("squared_error", "log_likelihood")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/remifentanil.csv")
    parser.add_argument("--workdir", default="runs/patients", help="the trainings' folder")
    folds = list(range(FOLDS))
    parser.add_argument("--folds", type=int, nargs="*", default=folds, help="those to train now")
    given = parser.parse_args()
    folder = Path(given.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    learners = {
        "ALPaCA": (make_alpaca, 2e-3),
        "InContext": (functools.partial(start_in_context, folder / "broad"), 5e-4),
    }
    for fold, (name, (make, rate)) in itertools.product(given.folds, learners.items()):
        path = folder / f"{name}_{fold}.json"
        if path.exists():
            continue
        print(f"fold {fold}, {name}", flush=True)
        learner, found = one_fold(name, make, rate, *read(Path(given.data), fold))
        for method, scores in found["scores"].items():
            means = {of: round(fmean(values.values()), 4) for of, values in scores.items()}
            print(f"  {method}: {means}", flush=True)
        learner.save(path.with_suffix(".keras"))
        path.write_text(json.dumps(found))
    done = [n for n in folds if all((folder / f"{name}_{n}.json").exists() for name in learners)]
    write(folder, done, list(learners))


def one_fold(
    name: str, make: Callable[[], Any], rate: float, patients: dict, tasks: list, lists: dict
) -> tuple[Any, dict[str, Any]]:
    """A learner for a fold, and scores of each test patient, {method: {score: {patient: value}}}.

    The steps of tuning are chosen with a learner that knows nothing of the validation patients.
    Then all is done again, with these steps and with the validation patients among the known.
    """
    training, valid = ([patients[n] for n in lists[part]] for part in ("train", "valid"))

    def prepared(known: list[Patient]) -> tuple[Any, Population]:
        learner, population = make(), compartments.fit_population(known)
        simulate(learner, population, known, rate)
        return learner, population

    steps = best_steps(*prepared(training), training, valid)
    known = training + valid
    learner, population = prepared(known)
    found = {
        _MAP: score(patients, tasks, by_map(population)),
        f"{name}, simulated patients": score(patients, tasks, by(learner, population)),
    }
    if steps:
        tune(learner, population, known, steps)
    found[f"{name}, and tuned on real ones"] = score(patients, tasks, by(learner, population))
    return learner, {"tuning_steps": steps, "scores": found}


def make_alpaca() -> meta_tf.MetaLearner:
    """Bayesian linear regression on learned features."""
    keras.utils.set_random_seed(0)
    body = meta_tf.models.mlp(INPUTS, 32, HIDDEN, "gelu", "glorot_uniform")
    return meta_tf.MetaLearner(body, meta_tf.ALPaCA(noise=0.2), meta_tf.GaussianLoss())


def make_in_context() -> meta_tf.MetaLearner:
    """A transformer that reads the support set."""
    keras.utils.set_random_seed(0)
    body = meta_tf.models.mlp(INPUTS, None, HIDDEN, "gelu", "glorot_uniform")
    return meta_tf.MetaLearner(body, meta_tf.InContext(answer="gaussian"), meta_tf.GaussianLoss())


def start_in_context(folder: Path) -> meta_tf.MetaLearner:
    """The same after a training on patients simulated from broad ranges."""
    learner = make_in_context()
    learner.set_weights(broad(folder))
    return learner


@functools.cache
def broad(folder: Path) -> list[np.ndarray]:
    """The weights after that training."""
    drawn = SimulatedPatients(BROAD, invented(4000), number=40_000)
    part = meta_tf.tasks.from_function(drawn, numpy=True).train
    learner = long_training.train(
        make_in_context, part, folder, steps=BROAD_STEPS, tasks=TASKS, per_call=EVERY
    )
    return learner.get_weights()


def simulate(learner: Any, population: Population, known: list[Patient], rate: float) -> None:
    """Trains on simulated patients of a population, who resemble the known ones."""
    learner.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), steps_per_execution=EVERY)
    simulated = meta_tf.tasks.from_function(SimulatedPatients(population, known), numpy=True)
    for done in range(0, STEPS, EVERY):
        learner.optimizer.learning_rate = rate * 0.5 * (1 + math.cos(math.pi * done / STEPS))
        learner.fit(simulated.train.batches(TASKS, start=done), steps_per_epoch=EVERY, verbose=0)


def tune(learner: Any, population: Population, known: list, steps: int, start: int = 0) -> None:
    """Trains on real patients for `steps` more steps after `start`."""
    source = meta_tf.tasks.from_function(RealPatients(population, known), numpy=True)
    learner.optimizer.learning_rate = TUNING_RATE
    learner.fit(source.train.batches(TASKS, start=start), steps_per_epoch=steps, verbose=0)


def best_steps(learner: Any, population: Population, training: list, valid: list) -> int:
    """Tunes on real patients; returns the steps that are best for the validation patients."""
    held_out = {number: patient for number, patient in enumerate(valid)}
    rng = np.random.default_rng(0)
    tasks = []
    for number, patient in held_out.items():
        for _ in range(DRAWS // 2):
            order = rng.permutation(len(patient.t))
            tasks.append((number, order[:SHOTS], order[SHOTS:]))

    def likelihood() -> float:
        found = score(held_out, tasks, by(learner, population))
        return float(np.mean(list(found["log_likelihood"].values())))

    found = {0: likelihood()}
    for done in range(0, TUNING_STEPS, EVERY):
        tune(learner, population, training, EVERY, done)
        found[done + EVERY] = likelihood()
    best = max(found, key=lambda steps: found[steps])
    print(f"  validation log-likelihood {found[0]:.3f}, {found[best]:.3f} after {best} steps")
    return best


def read(data: Path, fold: int) -> tuple[dict[int, Patient], list[tuple], dict[str, list[int]]]:
    """All patients by number, the test tasks (patient, support rows, query rows), the split."""
    import pandas

    table = pandas.read_csv(data)
    patients, first = {}, {}
    for number, rows in table.groupby("patient"):
        one = rows.iloc[0]
        patients[int(number)] = Patient(
            one[COVARIATES].to_numpy(float),
            Infusion(float(one["infusion_rate"]), float(one["infusion_minutes"])),
            rows["minute"].to_numpy(float),
            rows["log_concentration"].to_numpy(float),
        )
        first[int(number)] = {row: place for place, row in enumerate(rows.index)}
    split = ROOT / "benchmarks" / "data" / f"remifentanil_groups_{fold}.json"
    lists = json.loads(split.read_text())
    source = meta_tf.tasks.from_groups(
        np.arange(len(table), dtype=np.float32)[:, None],
        table["log_concentration"].to_numpy(),
        table["patient"].astype(str).to_numpy(str),
        shots=SHOTS,
        split=[[str(n) for n in lists[part]] for part in ("train", "valid", "test")],
    )
    whole = source.test.whole_groups(DRAWS)
    tasks = []
    for name, (x, _) in zip(whole.groups, whole.batches(seed=0), strict=False):
        number = int(name)
        support, query = (x[k].numpy()[0, :, 0].astype(int) for k in ("support_x", "query_x"))
        places = [[first[number][row] for row in rows] for rows in (support, query)]
        tasks.append((number, *(np.array(p) for p in places)))
    return patients, tasks, lists


def by_map(population: Population) -> Any:
    """Predicts by the most probable compartments of the patient."""

    def predict(patient: Patient, support: np.ndarray, query: np.ndarray) -> Any:
        seen = patient._replace(t=patient.t[support], y=patient.y[support])
        return compartments.forecast(seen, population, patient.t[query])

    return predict


def by(learner: Any, population: Population) -> Any:
    """Predicts by a learner of the differences from the typical patient."""

    def predict(patient: Patient, support: np.ndarray, query: np.ndarray) -> Any:
        x, typical = inputs(population, patient)
        y = (patient.y - typical)[:, None]
        size = SHOTS + 128  # one shape for all patients: the last query again and again
        rows = np.concatenate([query, np.repeat(query[-1:], size - len(query))])
        batch = {"support_x": x[None, support], "support_y": y[None, support]}
        batch["query_x"] = x[None, rows]
        batch = {name: value.astype(np.float32) for name, value in batch.items()}
        found = learner.predict_on_batch(batch)[0, : len(query)]
        return typical[query] + found[:, 0], found[:, 1]

    return predict


def score(patients: dict[int, Patient], tasks: list[tuple], predict: Any) -> dict[str, dict]:
    """Means over each patient's tasks, {score: {patient: value}}."""
    found: dict[str, dict[int, list]] = {}
    for number, support, query in tasks:
        y = patients[number].y[query]
        mean, scale = predict(patients[number], support, query)
        outputs = np.stack([mean, scale], -1).astype(np.float32)
        target = y[:, None].astype(np.float32)
        of = {
            "squared_error": (y - mean) ** 2,
            "log_likelihood": meta_tf.gaussian.log_likelihood(target, outputs),
            "crps": meta_tf.gaussian.crps(target, outputs),
            "coverage_90": meta_tf.gaussian.coverage(target, outputs, 0.9),
        }
        for name, values in of.items():
            found.setdefault(name, {}).setdefault(number, []).append(float(np.mean(values)))
    return {
        name: {number: float(np.mean(v)) for number, v in values.items()}
        for name, values in found.items()
    }


def write(folder: Path, folds: list[int], learners: list[str]) -> None:
    """benchmarks/results/patients.json: means over the folds' patients, and paired differences."""
    found = {
        name: [json.loads((folder / f"{name}_{fold}.json").read_text()) for fold in folds]
        for name in learners
    }
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for fold in itertools.chain(*found.values()):
        for method, scores in fold["scores"].items():
            for name, values in scores.items():
                measured.setdefault(method, {}).setdefault(name, {}).update(values)
    tested = measured[_MAP]["squared_error"]
    recorded = json.loads((RESULTS / "real_remifentanil.json").read_text())["rows"]
    known = {
        row["name"]: {"squared_error": {p: row["by_group"][p] for p in tested}} for row in recorded
    }
    methods = {**known, **measured}
    others = {
        "ridge": methods["and ridge on the support set"],
        "map": methods[_MAP],
        "alpaca": methods["ALPaCA, and tuned on real ones"],
    }
    rows = []
    for name, scores in methods.items():
        row: dict[str, Any] = {"name": name}
        for scored, values in scores.items():
            row[scored] = interval(list(values.values()))
        for scored, (other, those) in itertools.product(_PAIRED, others.items()):
            if scored in scores and scored in those:
                differences = [scores[scored][p] - those[scored][p] for p in tested]
                row[f"{scored}_minus_{other}"] = interval(differences)
        if name in measured:
            row["by_patient"] = {
                scored: {p: round(v, 4) for p, v in values.items()}
                for scored, values in scores.items()
            }
        rows.append(row)
    told: dict[str, Any] = {"folds": folds, "patients": len(tested), "draws": DRAWS}
    told["broad"] = {
        "steps": BROAD_STEPS,
        "cpu_seconds": long_training.cpu_seconds(folder / "broad"),
    }
    told["steps"] = STEPS
    told["tuning_steps"] = {
        name: [fold["tuning_steps"] for fold in of] for name, of in found.items()
    }
    told["rows"] = rows
    (RESULTS / "patients.json").write_text(json.dumps(told, indent=2) + "\n")
    for row in rows:
        print({key: value for key, value in row.items() if key != "by_patient"})


if __name__ == "__main__":
    main()
