"""Figures with 90 % bands: three new patients, and a new machine.

    python -m benchmarks.band_figures patient       # after benchmarks.patients
    python -m benchmarks.band_figures machine       # after benchmarks.new_machine

The patients are the first three of the first fold's test patients; the machine is the first test
machine. Writes docs/figures/new_patient.png and new_machine.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks import compartments, new_machine, patients
from benchmarks.linear_systems import LAGS
from benchmarks.simulated_patients import SHOTS, differences, inputs
from meta_tf import gaussian
from meta_tf.plots.style import BLUE, GREY, ORANGE, RED, headline, tidy

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
NOISE, SHOWN = 0.1, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("patient", "machine"))
    parser.add_argument("--data", default="data/remifentanil.csv")
    parser.add_argument("--workdir", default="runs", help="the trainings' folder")
    given = parser.parse_args()
    draw = new_patients if given.name == "patient" else next_outputs
    figure = draw(Path(given.workdir), Path(given.data))
    figure.savefig(FIGURES / f"new_{given.name}.png", dpi=110)


def new_patients(workdir: Path, data: Path) -> Figure:
    """Measured and predicted concentrations over time."""
    known, tasks, lists = patients.read(data, 0)
    population = compartments.fit_population([known[n] for n in lists["train"] + lists["valid"]])
    learner = keras.models.load_model(workdir / "patients" / "InContext_0.keras")
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    for axes, (number, support, _) in zip(
        figure.subplots(1, 3, sharey=True), tasks[:3], strict=True
    ):
        patient = known[number]
        seen = patient._replace(t=patient.t[support], y=patient.y[support])
        t = np.geomspace(patient.t.min(), patient.t.max(), 200)
        new_x, typical = inputs(population, patient._replace(t=t))
        x, y = differences(population, seen)
        batch = {"support_x": x, "support_y": y, "query_x": new_x}
        batch = {name: value[None].astype(np.float32) for name, value in batch.items()}
        outputs = learner.predict_on_batch(batch)[0]
        _band(axes, t, typical, outputs)
        likely, _ = compartments.forecast(seen, population, t)
        axes.plot(t, np.exp(likely), "--", color=ORANGE, lw=1.4, label="compartments, MAP")
        axes.plot(patient.t, np.exp(patient.y), "o", ms=4, color=GREY, label="all other samples")
        axes.plot(
            *(seen.t, np.exp(seen.y)), "o", ms=7, color=RED, mec="white", label="the five samples"
        )
        axes.set(xscale="log", yscale="log")
        axes.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
        axes.minorticks_off()
        tidy(axes, "minutes", None, f"patient {number}", 4.0)
    figure.axes[0].set_ylabel("ng / ml")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    headline(figure, f"Three new patients, {SHOTS} samples of each")
    return figure


def next_outputs(workdir: Path, data: Path) -> Figure:
    """A machine's measured outputs after the record, and what was predicted one step ahead."""
    del data
    source = new_machine.tasks(NOISE)
    x, y = next(iter(source.test.batches(20)))  # the batches of the benchmark
    folder = workdir / f"new_machine_{NOISE}"
    learner = keras.models.load_model(folder / "learner.keras")
    outputs, real = learner.predict_on_batch(x)[0, :SHOWN], y.numpy()[0, :SHOWN, 0]
    figure = Figure(figsize=(12, 4.0), layout="constrained")
    axes = figure.subplots()
    t = np.arange(SHOWN) + new_machine.RECORD + LAGS
    lower, upper = (end.numpy()[:, 0] for end in gaussian.interval(outputs, 0.9))
    axes.fill_between(t, lower, upper, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
    axes.plot(t, outputs[:, 0], color=BLUE, label="ALPaCA, one step ahead")
    axes.plot(t, real, "o", ms=4, color=RED, mec="white", label="measured")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    tidy(axes, "sample", "output", None)
    headline(figure, f"A new machine after a record of {new_machine.RECORD} samples, noise {NOISE}")
    return figure


def _band(axes: Any, t: np.ndarray, typical: np.ndarray, outputs: np.ndarray) -> None:
    """The learner's curve and band, in ng/ml."""
    lower, upper = (end.numpy()[:, 0] for end in gaussian.interval(outputs, 0.9))
    band = np.exp(typical + lower), np.exp(typical + upper)
    axes.fill_between(t, *band, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
    axes.plot(t, np.exp(typical + outputs[:, 0]), color=BLUE, lw=1.8, label="InContext")


if __name__ == "__main__":
    main()
