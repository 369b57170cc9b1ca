from hypothesis import given
from hypothesis import strategies as st

from targets.tvm.arena import Lifetime, plan


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    spans = draw(
        st.lists(
            st.tuples(st.integers(1, 5000), st.integers(0, 20), st.integers(0, 5)), min_size=1, max_size=20
        )
    )
    return [Lifetime(f"t{i}", size, first, first + length) for i, (size, first, length) in enumerate(spans)]


@given(lifetimes())
def test_tensors_alive_together_do_not_overlap(tensors: list[Lifetime]) -> None:
    arena = plan(tensors)
    for a in tensors:
        assert arena.offsets[a.name] % 64 == 0
        assert arena.offsets[a.name] + a.size <= arena.size
        for b in tensors:
            if a is not b and a.first <= b.last and b.first <= a.last:
                start, end = arena.offsets[a.name], arena.offsets[a.name] + a.size
                assert end <= arena.offsets[b.name] or arena.offsets[b.name] + b.size <= start


@given(lifetimes())
def test_the_arena_is_no_larger_than_all_tensors_together(tensors: list[Lifetime]) -> None:
    assert plan(tensors).size <= sum(t.size + 64 for t in tensors)


def test_a_chain_needs_memory_for_two_neighbours_only() -> None:
    assert plan([Lifetime(f"t{i}", 640, i, i + 1) for i in range(10)]).size == 2 * 640
