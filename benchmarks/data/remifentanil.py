"""Writes data/remifentanil.csv: blood concentrations of a drug in 65 patients.

    python -m benchmarks.data.remifentanil

The infusion rate becomes five features, its moving means over 1, 3, 10, 30 and 100 minutes, as
log(1 + mean). A compartment of the body responds to a dose in this way. For models of compartments,
the table also has the rate and the minutes of the infusion.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.debian import file_of
from benchmarks.data.one_line import in_one_line

FOLDER = "usr/lib/R/library/nlme/data"
INDEX_SHA256 = "0ac05b75cc01c05cd341eec2bbb0f4aa35e539490d828d3a763577df3a51a0f0"
SHA256 = "3c7605eb4ce4415d59029d5e63686e8463687b58a0dfe54eeac5e22c128cef9e"
MINUTES = np.array([1.0, 3.0, 10.0, 30.0, 100.0])


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deb", help="the file of r-cran-nlme, if you have it already")
    parser.add_argument("--output", default="data/remifentanil.csv")
    given = parser.parse_args()
    output = Path(given.output)
    with in_one_line(parser):
        output.parent.mkdir(parents=True, exist_ok=True)
        index = file_of("r-cran-nlme", f"{FOLDER}/Rdata.rdx", INDEX_SHA256, given.deb)
        content = file_of("r-cran-nlme", f"{FOLDER}/Rdata.rdb", SHA256, given.deb)
        table(read(index, content, "Remifentanil")).to_csv(output, index=False)
    print(f"Written to {output}.")


def read(index: bytes, content: bytes, name: str) -> Any:
    """One data frame from an R package's database: the index gives the position of its bytes."""
    import rdata

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Rdata.rdx"
        path.write_bytes(index)
        first, length = (int(n) for n in rdata.read_rds(path)["variables"][name])
    # Four bytes with the uncompressed length, then a zlib stream.
    packed = zlib.decompress(content[first + 4 : first + length])
    return rdata.conversion.convert(rdata.parser.parse_data(packed), default_encoding="latin1")


def table(frame: Any) -> Any:
    """One row per blood sample: `patient`, `log_concentration`, `minute` and the features."""
    import pandas

    rows = pandas.concat([_with_doses(one) for _, one in frame.groupby("Subject", observed=True)])
    rows = rows[rows["conc"].notna()]  # the other rows describe only the pump
    found = {
        "patient": rows["Subject"].astype(int),
        "minute": rows["Time"],
        "log_concentration": np.log(rows["conc"]),
        **{name: rows[name] for name in _dose_names()},
        "infusion_rate": rows["infusion_rate"],
        "infusion_minutes": rows["infusion_minutes"],
        "age": rows["Age"],
        "height": rows["Ht"],
        "weight": rows["Wt"],
        "body_surface": rows["BSA"],
        "lean_mass": rows["LBM"],
        "male": (rows["Sex"] == "Male").astype(float),
    }
    return pandas.DataFrame(found)


def _dose_names() -> list[str]:
    return [f"dose_{minutes:g}min" for minutes in MINUTES]


def _with_doses(patient: Any) -> Any:
    """A patient's rows ordered by time, with the moving means of the rate."""
    patient = patient.sort_values("Time", kind="stable")
    means, found, last, rate = np.zeros(len(MINUTES)), [], 0.0, 0.0
    for time, next_rate in zip(patient["Time"], patient["Rate"], strict=True):
        kept = np.exp(-(time - last) / MINUTES)
        means = means * kept + rate * (1 - kept)
        found.append(np.log1p(means))
        last, rate = time, next_rate
    doses = dict(zip(_dose_names(), np.transpose(found), strict=True))
    # Each patient had one infusion at a constant rate, from minute 0.
    off = patient["Time"][patient["Rate"] == 0].iloc[0]
    return patient.assign(**doses, infusion_rate=patient["Rate"].iloc[0], infusion_minutes=off)


if __name__ == "__main__":
    main()
