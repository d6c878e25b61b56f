# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tables and pages say what the records say, and those of the repository are up to date."""

from pathlib import Path

import cv2
import pytest

from flow_rl.benchmark.records import read_records, write_json
from flow_rl.benchmark.report import color, write_report
from flow_rl.benchmark.suite import read_suite
from flow_rl.benchmark.tables import (
    claims_table,
    fill,
    filled,
    machines_note,
    paired_table,
    results_table,
    summary_table,
)

from .conftest import record, returns

ROOT = Path(__file__).parents[2]


def cells(table, learner):
    (row,) = (line for line in table.splitlines() if f"| {learner} |" in line)
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_results_of_each_learner(records):
    row = cells(results_table(records), "rldt")
    assert row[:5] == ["`FlowRL-Lift-Franka`", "rldt", "ours", "2", "2,000"]
    assert row[5] == "20.0% [15.0%, 25.0%]"
    assert row[6].startswith("50.0% [") and row[7] == "40.0, 60.0"
    assert row[8] == "50.0 points", "the worse seed's fall after its highest evaluation"
    assert row[9] == "60.0%", "mean of (20 + 2 * 90 + 40) / 4 and (20 + 2 * 80 + 60) / 4"
    assert cells(results_table(records), "score_flow")[8] == "0.0 points"


def test_summary_compares_on_common_tasks_only(records):
    more = [*records, record("rldt", 0, [0, 0, 0], task="FlowRL-Can-Franka")]
    table = summary_table(more)
    assert "Over 1 task: `FlowRL-Lift-Franka`." in table
    row = cells(table, "score_flow")
    assert row[1].startswith("75.0% [")
    assert row[2].startswith("rldt: 1.00 [")
    assert row[3] == "2,000 (median), 1 of 2"
    one = cells(summary_table([records[0], *records[2:]]), "rldt")
    assert one[1:3] == ["40.0% [one seed]", "score_flow: 0.00 [one seed]"], "certain of nothing"
    assert cells(table, "rldt")[3] == "929 (median), 2 of 2", "that 90 and 80 % were lost again is in the other table"


def test_pairs_are_compared_on_the_same_starts(records):
    assert "No two learners" in paired_table(records)
    for each, outcomes in zip(records, ("1010", "0000", "1111", "0110"), strict=True):
        each["final"] = each["final"] | {"outcomes": outcomes}
    row = cells(paired_table(records), "rldt")
    assert row[:5] == ["`FlowRL-Lift-Franka`", "rldt", "score_flow", "0", "4"]
    records[0]["final"]["outcomes"] = "10"
    assert cells(paired_table(records), "rldt")[3:5] == ["0", "2"], "seeds with other numbers of episodes are left out"


def test_claims_stand_beside_what_happened():
    """Evaluations at 0, 1,000 and 2,000 steps are of the first half, the two after them of the second."""
    entry, claim = next((name, each.claim) for name, each in read_suite("rldt").learners.items() if each.claim)
    runs = [
        record(entry, seed, curve, suite="rldt")
        for seed, curve in enumerate([[50, 86, 80, 84, 79], [50, 70, 88, 60, 90]])
    ]
    row = cells(claims_table(runs), f"`{entry}`")
    assert row[1] == claim
    assert row[2:5] == ["2", "86.0, 88.0", "5.0, 30.0"] and row[5].startswith("84.5% [")


def test_machines_are_not_mixed_silently(records, tmp_path):
    """A table of runs on several kinds of machines says so, by what computes: GPU or processor, and ranks."""
    mark = "<!-- benchmark results toy -->\n<!-- end -->\n"
    assert machines_note(records) == "" and "different machines" not in filled(mark, records)
    records[0]["host"] |= {"gpu": ["NVIDIA H200"], "name": "one"}
    assert machines_note(records) == "", "a GPU that was not used"
    records[0] |= {"device": "cuda:0"}
    records[1] |= {"ranks": 2}
    told = filled(mark, records)
    assert "On different machines, whose seconds cannot be compared: NVIDIA H200 (1 runs of rldt); " in told
    assert "a processor, 2 cores, no GPU (2 runs of score_flow); a processor, 2 cores, no GPU, 2 ranks (1 runs" in told
    page = write_report(records, tmp_path).read_text()
    assert "On different machines" in page and "NVIDIA H200 (one)" in page


def test_marked_tables_are_filled_and_others_left_alone(records, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- benchmark results toy -->\nold\n<!-- end -->\nafter\n")
    fill(path, records)
    text = path.read_text()
    assert text.startswith("before\n<!-- benchmark results toy -->\n") and text.endswith("<!-- end -->\nafter\n")
    assert results_table(records) in text and "old" not in text
    assert filled(text, records) == text
    changed = [*records[:-1], record("score_flow", 1, [20, 60, 81])]
    assert filled(text, changed) != text, "a table of other records is another one"


@pytest.mark.parametrize("mark", ["results none", "fancy toy"])
def test_marks_without_records_are_refused(mark, records):
    with pytest.raises(ValueError, match=f"benchmark {mark} .*results, summary.*toy"):
        filled(f"<!-- benchmark {mark} -->\n<!-- end -->", records)


def test_learners_keep_their_colours():
    one = color("rldt", "rldt", {"rldt"})
    assert one == color("rldt", "rldt", {"rldt", "score_flow", "variant"})
    colors = {color(name, "rldt", {"a", "b", "rldt"}) for name in ("a", "b", "rldt")}
    assert len(colors) == 3


def test_the_page_holds_everything(records, tmp_path):
    page = write_report(records, tmp_path).read_text()
    assert "data:image/png;base64," in page and "score_flow" in page and "a processor, 2 cores, no GPU" in page
    picture = cv2.imread(str(tmp_path / "toy.png"))
    assert picture.std() > 5, "curves are drawn"


def test_records_survive_the_disk(records, tmp_path):
    for each in records:
        write_json(tmp_path / "toy" / f"{each['task']}__{each['learner']}__{each['seed']}.json", each)
    assert read_records(tmp_path) == records
    assert read_records(tmp_path, ["other"]) == []
    assert len((tmp_path / "toy" / "FlowRL-Lift-Franka__rldt__0.json").read_text()) < 4096
    (tmp_path / "toy" / "a__b__0.json").write_text('{"suite": "toy"}')
    with pytest.raises(ValueError, match="a__b__0.json is no record: it lacks curve, final"):
        read_records(tmp_path)


def test_tables_of_the_repository_equal_their_records():
    if not (ROOT / "README.md").is_file():
        pytest.skip("not in a checkout")
    records = read_records(ROOT / "benchmarks" / "records")
    pages = [ROOT / "README.md", ROOT / "benchmarks/RESULTS.md", *(ROOT / "exts/flow_rl/docs").rglob("*.md")]
    texts = {path: text for path in pages if "<!-- benchmark " in (text := path.read_text())}
    assert len(texts) > 2
    old = [path.name for path, text in texts.items() if filled(text, records) != text]
    assert old == [], "run flow-rl benchmark report --fill"


def test_returns_have_tables_and_curves_of_their_own(tmp_path):
    """Means and spreads of returns, never percentages; the way from the base to the best learner counts as one."""
    runs = [returns("rldt", seed, [1000.0, 1500.0, 1800.0 + 200 * seed]) for seed in range(2)]
    runs += [returns("score_flow", seed, [1000.0, 3000.0, 2900.0]) for seed in range(2)]
    table = results_table(runs)
    assert "Final return" in table and "1,000.0 [980.0, 1,020.0]" in table and "%" not in table
    assert "| 1,900.0 [1,800.0, 2,000.0] | 1,800.0, 2,000.0 | 0.0 |" in table
    assert "| 2,900.0 [2,900.0, 2,900.0] | 2,900.0, 2,900.0 | 100.0 |" in table
    summary = summary_table(runs)
    assert "shares of the way from the pretrained policy" in summary
    rows = {line.split("|")[1].strip(): line for line in summary.splitlines() if line.startswith("| ")}
    assert rows["score_flow"].split("|")[2].strip().startswith("100.0%")
    assert "0 of 2" in rows["rldt"] and "2 of 2" in rows["score_flow"]
    write_report(runs, tmp_path)
    assert (tmp_path / "gym.png").stat().st_size > 10_000
