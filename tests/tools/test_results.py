"""The published results: complete, what the tables say, and possible at all."""

import json
import math
import re

import pytest

from tools import tables

FOLDERS = sorted(p for p in tables.RESULTS.iterdir() if p.is_dir() and p.name != "__pycache__")
RUNS = [folder for folder in FOLDERS if not folder.name.endswith("_transfer")]
TRANSFER = [folder for folder in FOLDERS if folder not in RUNS]
ROWS = {row.folder: row for table in tables.TABLES for row in table.rows}


def flag_file(folder):
    lines = (folder / "flags.txt").read_text().splitlines()
    flags = {}
    for name, value in (line.removeprefix("--").split("=", 1) for line in lines):
        flags[name] = f"{flags[name]}, {value}" if name in flags else value  # as several --set
    return flags


@pytest.mark.parametrize("path", tables.PAGES, ids=lambda path: str(path.relative_to(tables.ROOT)))
def test_the_tables_are_what_the_runs_say(path):
    text = path.read_text()
    assert re.search("<!-- (table|cards|photographs) ", text)
    assert tables.filled(text, tables.RESULTS, path.parent) == text, "run: python -m tools.tables"


def test_both_results_pages_have_every_table_and_one_has_every_command():
    runs = (tables.RESULTS / "README.md").read_text()
    site = (tables.ROOT / "docs" / "results.md").read_text()
    for table in tables.TABLES:
        assert f"<!-- table {table.name} -->" in runs
        assert f"<!-- table {table.name} -->" in site
        assert f"<!-- commands {table.name} -->" in runs


def test_the_site_shows_the_figures_of_the_runs():
    for name, of_run in tables.SHOWN.items():
        shown = (tables.FIGURES / name).read_bytes()
        assert shown == (tables.RESULTS / of_run).read_bytes(), "run: python -m tools.tables"


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_published_run_is_complete(folder):
    assert folder.name in ROWS
    run = tables.read(tables.RESULTS, folder.name)
    assert (folder / "metrics.csv").stat().st_size > 0
    assert run["command"].startswith(("python train.py", "meta-tf train"))
    assert not re.search(r"=[/~]", run["command"])  # anyone's folders, not someone's own
    assert run["flags"] == flag_file(folder)
    assert run["batch_norm"] == run["flags"].get("batch_norm", "transductive")
    assert run["seed"] == int(run["flags"]["seed"])
    assert run["tasks"] == int(run["flags"]["eval_tasks"])
    assert run["iterations"] == int(run["flags"]["iterations"])
    assert set(run["versions"]) == {"meta_tf", "tensorflow", "keras", "python"}


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_published_run_is_of_the_tasks_and_algorithm_of_its_row(folder):
    flags = flag_file(folder)
    task, ways, shots, rest = re.fullmatch(
        r"(omniglot|sinusoid|chinese)_(?:([\d-]+)way_)?([\d-]+)shot_?(\w*)", folder.name
    ).groups()
    pictures = {"chinese": "images"}
    assert (flags["task"], flags["shots"]) == (pictures.get(task, task), shots)
    assert ways in (None, flags.get("ways"))
    rest, after = re.fullmatch(r"(\w*?)(?:_after_(\w+))?", rest).groups()
    assert after in (None, "maml")
    if after:  # a shipped learner, or a run of these
        begun = flags["initial_weights"].removeprefix("benchmarks/runs/")
        other = flag_file(tables.RESULTS / begun)
        assert (other["algorithm"], other["ways"]) == ("maml", ways)
    mode = re.fullmatch(r"(?:(\w+)_)?(transductive|support|running)(?:_norm)?", rest)
    algorithm, batch_norm = mode.groups() if mode else (rest, "transductive")
    assert flags["algorithm"] == (algorithm or "maml")
    assert flags.get("batch_norm", "transductive") == batch_norm


@pytest.mark.parametrize("folder", TRANSFER, ids=lambda folder: folder.name)
def test_a_baseline_of_transfer_is_complete_and_was_chosen_by_validation(folder):
    run = tables.read(tables.RESULTS, folder.name)
    assert run["command"] == "python -m benchmarks.transfer --data_dir=data/omniglot"
    assert folder.name == f"omniglot_{run['ways']}way_{run['shots']}shot_transfer"
    assert (run["tasks"], run["seed"], run["batch_norm"]) == (600, 0, "running")
    chosen = max(run["validation"], key=run["validation"].get)
    assert run["algorithm"].startswith(f"{chosen}(")
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) > 2 and rows[-1].split(",")[1] == str(run["iterations"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_interval_of_a_published_run_is_possible(folder):
    run = tables.read(tables.RESULTS, folder.name)
    assert run["steps"] == list(range(len(run["mean"]))) and len(run["ci95"]) == len(run["mean"])
    n = run["tasks"]
    assert run["ci95"][-1] > 0
    for mean, ci95 in zip(run["mean"], run["ci95"], strict=True):
        assert ci95 >= 0
        if run["metric"] == "accuracy":
            # Numbers within 0 … 1 have σ² ≤ n / (n - 1) mean (1 - mean), and the interval is
            # 1.96 σ / √n.
            assert ci95 <= 1.96 * math.sqrt(mean * (1 - mean) / (n - 1))


def a_run(folder, accuracy, **more):
    folder.mkdir()
    run = {
        "mean": [0.2, accuracy],
        "ci95": [0.02, 0.00512],
        "steps": [0, 1],
        "settings": {"inner_steps": 1},
        "batch_norm": "transductive",
        "iterations": 40000,
        "flags": {},
        "command": "python train.py --preset=one ",
        **more,
    }
    (folder / "results.json").write_text(json.dumps(run))


def table(name):
    (found,) = [table for table in tables.TABLES if table.name == name]
    return found


def test_a_row_tells_what_its_run_has_written(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.98764, training_minutes=41.3, cores=2)
    lines = tables.rendered(table("omniglot_5way_1shot"), tmp_path, tmp_path.parent)
    # 100 · 0.98764 ± 100 · 0.00512, to two digits
    row = "| MAML | 98.76 ± 0.51 | – | 1 | transductive | 40 000 | 41 (2 cores) |"
    assert lines[2].startswith(row)
    assert f"({tmp_path.name}/omniglot_5way_1shot/results.json)" in lines[2]
    assert lines[3].startswith("| MAML++ | not yet trained |") and "| 99.47 |" in lines[3]
    assert {line.count("|") for line in lines[:4]} == {len(tables.ACCURACY) + 3}


def test_a_run_that_has_not_counted_its_minutes_claims_none(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.98, training_minutes=None)
    lines = tables.rendered(table("omniglot_5way_1shot"), tmp_path, tmp_path)
    assert "| 40 000 |  |" in lines[2]


def test_a_run_that_began_with_the_weights_of_another_says_so(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.98, flags={"initial_weights": "omniglot"})
    lines = tables.rendered(table("omniglot_5way_1shot"), tmp_path, tmp_path)
    assert "| 40 000 after `omniglot` |" in lines[2]


def test_the_modes_are_compared_with_the_transductive_one(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot_transductive_norm", 0.98)
    a_run(tmp_path / "omniglot_5way_1shot_support_norm", 0.965)
    lines = tables.rendered(table("batch_norm"), tmp_path, tmp_path)
    assert "| 98.00 ± 0.51 | +0.00 |" in lines[2]
    assert "| 96.50 ± 0.51 | -1.50 |" in lines[3]
    assert tables.MISSING in lines[4]


def test_the_front_page_tells_one_number_a_run_and_draws_nothing(tmp_path):
    a_run(tmp_path / "sinusoid_10shot", 0.3271, metric="mse")
    a_run(tmp_path / "omniglot_5way_1shot", 0.98764, metric="accuracy")
    lines = tables.rendered(tables.README, tmp_path, tmp_path)
    assert "| mse 0.327 ± 0.005 | 0.435 |" in lines[2]
    assert "| 98.76 ± 0.51 % | 98.7 ± 0.4 |" in lines[3]
    assert tables.MISSING in lines[4]
    assert len(lines) == 2 + len(tables.README.rows)


def test_a_page_beside_the_runs_links_to_them_and_one_of_the_site_names_them(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.98)
    beside = tables.named("omniglot_5way_1shot", tmp_path, tmp_path)
    assert beside == "[`omniglot_5way_1shot`](omniglot_5way_1shot/results.json)"
    assert (
        tables.named("omniglot_5way_1shot", tmp_path, tmp_path / "docs") == "`omniglot_5way_1shot`"
    )


def test_the_sinusoid_is_told_after_one_five_and_ten_steps(tmp_path):
    mean = [3.0, 0.4, 0.3, 0.3, 0.3, 0.2, 0.3, 0.3, 0.3, 0.3, 1234567.0]
    ci95 = [0.05] * 10 + [0.5e6]
    a_run(tmp_path / "sinusoid_5shot", 0, mean=mean, ci95=ci95, steps=list(range(11)))
    lines = tables.rendered(table("sinusoid_5shot"), tmp_path, tmp_path)
    told = "| MAML | 0.400 ± 0.050 | 0.200 ± 0.050 | 1e+06 ± 5e+05 | 40 000 |"
    assert lines[2].startswith(told)


def test_the_commands_are_those_of_the_runs(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.98)
    told = tables.commands(table("omniglot_5way_1shot"), tmp_path, tmp_path)
    assert told == ["```sh", "python train.py --preset=one", "```"]


def test_runs_below_their_goal_are_told(tmp_path):
    a_run(tmp_path / "omniglot_5way_1shot", 0.9829)  # of 98.3
    a_run(tmp_path / "omniglot_5way_1shot_protonet", 0.9801)  # of 98
    told = "\n".join(tables.below_goal(tmp_path))
    assert "omniglot_5way_1shot, MAML: 98.29, goal 98.3" in told
    assert "omniglot_5way_1shot, ProtoNet:" not in told
    assert "omniglot_5way_1shot, MAML++: not yet trained" in told


def test_a_folder_without_results_and_an_unknown_table_are_told(tmp_path):
    (tmp_path / "omniglot_5way_1shot").mkdir()
    text = "<!-- table omniglot_5way_1shot -->\n<!-- end -->"
    with pytest.raises(FileNotFoundError, match=r"omniglot_5way_1shot must contain results.json"):
        tables.filled(text, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="<!-- table omniglot --> must name one of omniglot_5way"):
        tables.filled("<!-- table omniglot -->\n<!-- end -->", tmp_path, tmp_path)


def test_tables_that_are_to_have_a_figure_have_one_and_others_do_not():
    for one in tables.TABLES:
        runs = any(tables.read(tables.RESULTS, row.folder) for row in one.rows)
        path = tables.FIGURES / f"{one.name}.png"
        if runs and one.drawn:
            assert tables.drawn(one, tables.RESULTS) is not None
            assert path.stat().st_size > 5000
        else:
            assert tables.drawn(one, tables.RESULTS) is None
            assert not path.exists()


def test_the_table_of_photographs_has_a_row_for_each_head_and_set(tmp_path):
    assert tables.photographs(tmp_path) == ["Not yet measured."]
    shared = {"shots": 5, "ci95": 0.5, "tasks": 600}
    rows = [
        {
            **shared,
            **{"head": "photos", "accuracy": 81.71, "ece": 2.27, "nll": 0.509},
            **{"photos_better_by": 0.0, "photos_better_by_ci95": 0.0},
            **{"refused_of_known_classes": 4.38, "refused_of_other_classes": None},
            "refused_of_other_sets": 100.0,
        },
        {
            **shared,
            **{"head": "nearest mean", "accuracy": 74.84, "ece": 20.0, "nll": 1.5},
            **{"photos_better_by": 6.87, "photos_better_by_ci95": 0.4},
        },
    ]
    (tmp_path / "hands.json").write_text(json.dumps({"set": "hands", "rows": rows}))
    lines = tables.photographs(tmp_path)
    assert "| hands, 600 tasks | 5 | photos | 81.7 ± 0.5 |  | 2.3 | 0.51 |" in lines
    assert (
        "| hands, 600 tasks | 5 | nearest mean | 74.8 ± 0.5 | +6.9 ± 0.4 | 20.0 | 1.50 |" in lines
    )
    assert "| hands, 600 tasks | 5 | 4.4 | – | 100.0 |" in lines
