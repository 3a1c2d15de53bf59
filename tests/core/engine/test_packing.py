"""Packing loses no text, mixes no adapters, and pads nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter_platform.core.engine.packing import cut, lay_out

TEXTS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=60)


@given(TEXTS, st.integers(1, 200))
def test_every_text_is_in_one_batch_by_adapter_and_length_and_within_the_budget(
    texts: list[tuple[int, int]], budget: int
) -> None:
    adapters, lengths = [a for a, _ in texts], [n for _, n in texts]
    batches = list(cut(adapters, lengths, budget))
    order = [pick for picks in batches for pick in picks]
    assert sorted(order) == list(range(len(texts)))
    assert [texts[pick] for pick in order] == sorted(texts)
    for picks in batches:
        assert len(picks) == 1 or sum(lengths[pick] for pick in picks) <= budget


@given(TEXTS, st.integers(40, 400))
def test_however_mixed_the_adapters_there_are_hardly_more_batches_than_the_tokens_fill(
    texts: list[tuple[int, int]], budget: int
) -> None:
    lengths = [n for _, n in texts]
    batches = list(cut([a for a, _ in texts], lengths, budget))
    longest = max(lengths, default=0)
    # Each but the last is so full that the next text did not fit in.
    assert all(sum(lengths[i] for i in picks) > budget - longest for picks in batches[:-1])


@given(TEXTS.filter(bool))
def test_segments_and_runs_each_cover_the_batch_without_a_gap(texts: list[tuple[int, int]]) -> None:
    texts = sorted(texts)
    layout = lay_out([a for a, _ in texts], [n for _, n in texts])
    assert layout.size == sum(n for _, n in texts)
    assert list(layout.starts) == [sum(n for _, n in texts[:i]) for i in range(len(texts))]
    for spans, place in ((layout.segments, 0), (layout.runs, 1)):
        row = token = 0
        for span in spans:
            assert (span.rows.start, span.tokens.start) == (row, token)
            assert {text[place] for text in texts[span.rows]} == {span.key}
            assert span.tokens.stop - token == sum(n for _, n in texts[span.rows])
            row, token = span.rows.stop, span.tokens.stop
        assert (row, token) == (len(texts), layout.size)
    assert len({segment.key for segment in layout.segments}) == len(layout.segments)
