"""The table of calibration methods gives means over seeds, and says where a method has no result."""

from benchmarks.method_rows import MethodRow, table


def test_a_method_s_row_has_the_mean_and_the_spread_of_its_seeds() -> None:
    def row(seed: int, agreement: float, sqnr_db: float) -> MethodRow:
        return MethodRow(
            key=str(seed),
            network="net",
            images=8,
            seed=seed,
            evaluated=100,
            method="ours",
            top1=0.5,
            agreement=agreement,
            sqnr_db=sqnr_db,
            processor_s=4.0,
        )

    failed = MethodRow(
        key="f", network="net", images=8, seed=0, evaluated=100, method="peer", problem="no Clip"
    )
    lines = table([row(0, 0.97, 30.0), failed, row(1, 0.99, 33.0)]).splitlines()
    assert lines[2] == (
        "| net | `ours` | 2 | 50.00 (50.00 to 50.00) | 98.00 (97.00 to 99.00) | 31.5 (30.0 to 33.0) | 4 |"
    )
    assert lines[3].startswith("| net | `peer` | 1 | no Clip |")
