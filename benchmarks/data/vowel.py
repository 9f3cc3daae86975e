"""Writes data/vowel.csv: eleven English vowels by fifteen speakers.

python -m benchmarks.data.vowel
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data.debian import file_of
from benchmarks.data.one_line import in_one_line

FILE = "usr/lib/R/site-library/mlbench/data/Vowel.rda"
SHA256 = "6577f9ca304153797ec7621d79020b010d160c425da2007639b9e6a2b23fb127"


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deb", help="the file of r-cran-mlbench, if you have it already")
    parser.add_argument("--output", default="data/vowel.csv")
    given = parser.parse_args()
    output = Path(given.output)
    with in_one_line(parser):
        output.parent.mkdir(parents=True, exist_ok=True)
        content = file_of("r-cran-mlbench", FILE, SHA256, given.deb)
        table(content).to_csv(output, index=False)
    print(f"Written to {output}.")


def table(content: bytes) -> Any:
    """The table of an R file: `speaker`, `vowel` and nine features."""
    import rdata

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Vowel.rda"
        path.write_bytes(content)
        vowel = rdata.read_rda(path)["Vowel"]
    features = {f"V{i}": f"feature{i - 1}" for i in range(2, 11)}
    return vowel.rename(columns={"V1": "speaker", "Class": "vowel", **features})


if __name__ == "__main__":
    main()
