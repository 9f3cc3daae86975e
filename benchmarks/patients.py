"""A new patient's drug concentrations from five blood samples, learned from simulated patients.

    python -m benchmarks.data.remifentanil          # data/remifentanil.csv
    python -m benchmarks.patients

For each of five folds, a compartment model of the population is fitted to the training and
validation patients. ALPaCA is trained on patients simulated from that population, and then tuned on
the real training patients, until the validation patients get no better. The test patients' tasks
are those of `benchmarks.real_problems`, so errors are paired with those recorded there. Continues
where it stopped, and writes benchmarks/results/patients.json with the folds that are done.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

import meta_tf
from benchmarks import compartments
from benchmarks.compartments import Infusion, Patient, Population
from benchmarks.interval import interval
from benchmarks.simulated_patients import SHOTS, RealPatients, SimulatedPatients, inputs

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FOLDS, DRAWS = 5, 10
COVARIATES = ["age", "height", "weight", "body_surface", "lean_mass", "male"]
TASKS, STEPS, TUNING_STEPS, EVERY = 32, 1500, 400, 50
RATE, TUNING_RATE = 2e-3, 2e-4
FEATURES, HIDDEN = 32, (64, 64)
_MAP = "compartments, maximum a posteriori"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/remifentanil.csv")
    parser.add_argument("--workdir", default="runs/patients", help="the trainings' folder")
    parser.add_argument("--steps", type=int, default=STEPS)
    folds = list(range(FOLDS))
    parser.add_argument("--folds", type=int, nargs="*", default=folds, help="those to train now")
    given = parser.parse_args()
    folder = Path(given.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    learner = make_learner()
    start = [v.numpy() for v in learner.variables + learner.optimizer.variables]
    for fold in given.folds:
        path = folder / f"fold_{fold}.json"
        if path.exists():
            continue
        for variable, value in zip(
            learner.variables + learner.optimizer.variables, start, strict=True
        ):
            variable.assign(value)
        scores = one_fold(learner, Path(given.data), fold, given.steps)
        learner.save(folder / f"fold_{fold}.keras")
        path.write_text(json.dumps(scores))
    done = [fold for fold in folds if (folder / f"fold_{fold}.json").exists()]
    write({fold: json.loads((folder / f"fold_{fold}.json").read_text()) for fold in done})


def make_learner() -> meta_tf.MetaLearner:
    """ALPaCA for the inputs of `simulated_patients`."""
    keras.utils.set_random_seed(0)
    size = SimulatedPatients.INPUTS
    body = meta_tf.models.mlp(size, FEATURES, HIDDEN, "gelu", "glorot_uniform")
    learner = meta_tf.MetaLearner(body, meta_tf.ALPaCA(noise=0.2), meta_tf.GaussianLoss())
    learner.compile(keras.optimizers.Adam(RATE, global_clipnorm=1.0), steps_per_execution=EVERY)
    return learner


def one_fold(learner: Any, data: Path, fold: int, steps: int) -> dict[str, Any]:
    """Scores of each test patient and method, {method: {score: {patient: value}}}."""
    patients, tasks, lists = read(data, fold)
    training, valid = ([patients[n] for n in lists[part]] for part in ("train", "valid"))
    population = compartments.fit_population(training + valid)
    print(f"fold {fold}: noise {population.noise:.3f}, typical", flush=True)
    print(dict(zip(compartments.PARAMETERS, np.exp(population.slopes[0]).round(2), strict=True)))
    found = {_MAP: score(patients, tasks, by_map(population))}

    simulated = meta_tf.tasks.from_function(
        SimulatedPatients(population, training + valid), numpy=True
    )
    for done in range(0, steps, EVERY):
        learner.optimizer.learning_rate = RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
        fitted = learner.fit(
            simulated.train.batches(TASKS, start=done), steps_per_epoch=EVERY, verbose=0
        )
        if done % 500 == 0:
            print(f"  {done} steps, loss {fitted.history['loss'][0]:.4f}", flush=True)
    found["ALPaCA, simulated patients"] = score(patients, tasks, by(learner, population))

    chosen = tune(learner, population, training, valid)
    found["ALPaCA, and tuned on real ones"] = score(patients, tasks, by(learner, population))
    for name, scores in found.items():
        means = {score: round(float(np.mean(list(v.values()))), 4) for score, v in scores.items()}
        print(f"  {name}: {means}", flush=True)
    return {"steps": steps, "tuning_steps": chosen, "noise": population.noise, "scores": found}


def tune(learner: Any, population: Population, training: list, valid: list) -> int:
    """Tunes on real patients; returns the step that was best for the validation patients."""
    source = meta_tf.tasks.from_function(RealPatients(population, training), numpy=True)
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

    best, at = likelihood(), 0
    kept = learner.get_weights()
    learner.optimizer.learning_rate = TUNING_RATE
    for done in range(0, TUNING_STEPS, EVERY):
        learner.fit(source.train.batches(TASKS, start=done), steps_per_epoch=EVERY, verbose=0)
        now = likelihood()
        if now > best:
            best, at, kept = now, done + EVERY, learner.get_weights()
    learner.set_weights(kept)
    print(f"  tuned for {at} steps, validation log-likelihood {best:.3f}", flush=True)
    return at


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


def write(folds: dict[int, dict[str, Any]]) -> None:
    """benchmarks/results/patients.json: means over the folds' patients, and paired differences."""
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for fold in folds.values():
        for method, scores in fold["scores"].items():
            for name, values in scores.items():
                measured.setdefault(method, {}).setdefault(name, {}).update(values)
    tested = measured[_MAP]["squared_error"]
    recorded = json.loads((RESULTS / "real_remifentanil.json").read_text())["rows"]
    known = {
        row["name"]: {"squared_error": {p: row["by_group"][p] for p in tested}} for row in recorded
    }
    methods = {**known, **measured}
    others = {"ridge": methods["and ridge on the support set"], "map": methods[_MAP]}
    rows = []
    for name, scores in methods.items():
        row: dict[str, Any] = {"name": name}
        for scored, values in scores.items():
            row[scored] = interval(list(values.values()))
        errors = scores["squared_error"]
        for other, those in others.items():
            differences = [errors[p] - those["squared_error"][p] for p in errors]
            row[f"squared_error_minus_{other}"] = interval(differences)
        if name in measured:
            row["by_patient"] = {
                scored: {p: round(v, 4) for p, v in values.items()}
                for scored, values in scores.items()
            }
        rows.append(row)
    told = {
        "folds": list(folds),
        "patients": len(tested),
        "draws": DRAWS,
        "steps": [fold["steps"] for fold in folds.values()],
        "tuning_steps": [fold["tuning_steps"] for fold in folds.values()],
        "rows": rows,
    }
    (RESULTS / "patients.json").write_text(json.dumps(told, indent=2) + "\n")
    for row in rows:
        print({key: value for key, value in row.items() if key != "by_patient"})


if __name__ == "__main__":
    main()
