"""The table has a line for every network, with what `edgec diff` said of each pair."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.diff_same import SamePair, table


def test_the_table_has_a_line_a_network(tmp_path: Path) -> None:
    made = [
        SamePair("a", "avx2 and its Q/DQ network", "same network, rounded", ""),
        SamePair("a", "avx2 and its rebuild", "identical", "", same_bytes=True),
        SamePair("b", "", "no engine", "no | engine"),
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in made))
    assert table(tmp_path / "rows.jsonl").splitlines() == [
        "| network | avx2 and its Q/DQ network | avx2 and its rebuild |",
        "|---|---|---|",
        "| `a` | same network, rounded | identical, same bytes |",
        "| `b` | no engine: no / engine | no engine: no / engine |",
    ]
