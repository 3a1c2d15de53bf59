"""From rows to examples: what is found, what is decided, and that no row is lost unsaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from adapter_platform.core.data.summary import conflict_notes, conflicts
from adapter_platform.core.errors import DataError
from adapter_platform.core.examples import Dataset, load_examples, open_rows, row_notes, summarise
from adapter_platform.core.labels import Kind, Label, LabelScheme
from adapter_platform.core.registry import BadRow, Brought, Record, Registry

Row = Mapping[str, Any]


class Tables:
    """Rows from literals, as ``rows:NAME`` or ``NAME.rows``."""

    name = "rows"
    suffixes: tuple[str, ...] = (".rows",)

    def __init__(self, **tables: Sequence[Row | BadRow]) -> None:
        self.tables = tables

    def read(self, location: str) -> Iterator[Record | BadRow]:
        for number, row in enumerate(self.tables[location.removesuffix(".rows")], 1):
            where = f"{location}:{number}"
            yield row if isinstance(row, BadRow) else Record(where, row)


def registry(**tables: Sequence[Row | BadRow]) -> Registry:
    return Registry(sources={"rows": Brought(Tables(**tables), "test")})


def load(rows: Sequence[Row | BadRow], **options: Any) -> Dataset:
    return load_examples({"all": "rows:t"}, registry(t=rows), **options)


def labelled(*labels: Any) -> list[Row]:
    return [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]


# Where rows come from


def test_a_uri_names_its_source_and_a_bare_path_is_taken_by_its_suffix() -> None:
    brought = registry(t=labelled("a"))
    for uri in ("rows:t", "ROWS:t", "t.rows", "t.ROWS"):
        assert open_rows(uri, brought)[1].name == "rows"


def test_an_unknown_scheme_or_suffix_is_answered_with_the_choices() -> None:
    for uri in ("rosw:t", "t.xlsx"):
        with pytest.raises(DataError) as caught:
            open_rows(uri, registry())
        assert "rows" in str(caught.value.hint)


# Columns


@pytest.mark.parametrize(
    ("text", "label"),
    [("text", "label"), ("Text", "LABEL"), ("query", "intent"), ("文本", "标签"), ("问题", "类别")],
)
def test_columns_of_usual_names_are_found(text: str, label: str) -> None:
    dataset = load([{"id": 1, text: "hello", label: "a"}, {"id": 2, text: "bye", label: "b"}])
    assert (dataset.text_column, dataset.label_column) == (text, label)
    assert dataset.examples[0].fields == {"id": "1"}


def test_text_and_label_win_over_less_usual_names() -> None:
    dataset = load([{"content": "c", "text": "t", "topic": "x", "label": "y"}])
    assert (dataset.text_column, dataset.label_column) == ("text", "label")


def test_columns_may_be_named() -> None:
    rows = [{"text": "no", "body": "yes", "label": "no", "kind": "k"}]
    dataset = load(rows, columns={"text": "body", "label": "Kind"})
    assert dataset.examples[0].text == "yes"
    assert dataset.examples[0].labels == ("k",)


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"a": "x", "label": "y"}, {}, "no column for the text; its columns: 'a', 'label'"),
        ({"text": "x", "intent": "y", "topic": "z"}, {}, "may be any of the columns 'intent', 'to"),
        ({"text": "x", "label": "y"}, {"label": "kind"}, "has no column 'kind' for the label"),
        ({"text": "x", "label": "y"}, {"label": "text"}, "cannot be both the text and the label"),
        ({"text": "x", "label": "y"}, {"txet": "text"}, "no column setting named 'txet'"),
    ],
)
def test_columns_that_are_not_clear_are_refused(
    row: Row, columns: Mapping[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load([row], columns=columns)
    assert caught.value.hint


# Splits


def test_the_split_column_of_one_file_is_used_whatever_it_calls_them() -> None:
    names = ["train", "Dev", "validation", "eval", "valid", "val", "test", ""]
    rows = [{"text": f"t{i}", "label": "a", "split": name} for i, name in enumerate(names)]
    splits = [e.split for e in load(rows).examples]
    assert splits == ["train", "val", "val", "val", "val", "val", "test", None]


def test_a_column_called_set_that_holds_something_else_is_no_split() -> None:
    dataset = load([{"text": "a", "label": "x", "set": "cutlery"}])
    assert dataset.examples[0].split is None
    assert dataset.examples[0].fields == {"set": "cutlery"}


def test_a_misspelt_split_among_good_ones_is_a_problem() -> None:
    rows = [
        {"text": f"t{i}", "label": "a", "split": s} for i, s in enumerate(["train"] * 3 + ["tset"])
    ]
    (problem,) = load(rows).problems
    assert problem.where == "t:4"
    assert "'tset'" in problem.reason


def test_files_are_the_splits_that_they_are_named_as() -> None:
    data = {"train": "rows:a", "dev": "rows:b", "test": "rows:c"}
    brought = registry(a=labelled("x"), b=labelled("x"), c=labelled("y"))
    dataset = load_examples(data, brought)
    assert [e.split for e in dataset.examples] == ["train", "val", "test"]
    assert dataset.scheme.classes == ("x", "y")


def test_a_file_named_as_one_split_is_that_and_a_column_that_disagrees_is_noted() -> None:
    rows = [{"text": f"t{i}", "label": "a", "split": s} for i, s in enumerate(["train", "test"])]
    dataset = load_examples({"train": "rows:t"}, registry(t=rows))
    assert [e.split for e in dataset.examples] == ["train", "train"]
    assert "t:2 is the first" in dataset.notes[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "no data is named"),
        ({"trian": "rows:a"}, "there is no split named 'trian'"),
        ({"val": "rows:a", "dev": "rows:a"}, "the val split is named twice"),
    ],
)
def test_splits_that_make_no_sense_are_refused(data: Mapping[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_examples(data, registry(a=labelled("x")))


# Labels and kinds


@pytest.mark.parametrize(
    ("cells", "kind", "classes"),
    [
        (["b", "a", "b"], "single", ("a", "b")),
        ([2, 0, 1.0, True], "single", ("0", "1", "2", "true")),
        ([["a", "b"], []], "multi", ("a", "b")),
        (['["a", "b"]', "[]", "c"], "multi", ("a", "b", "c")),
        (["a|b", "a", "b"], "multi", ("a", "b")),
        (["a｜b", "a", "b"], "multi", ("a", "b")),
        (["a; b", "a", "b", ""], "multi", ("a", "b")),
        (["易用性、性能", "易用性", "性能"], "multi", ("性能", "易用性")),
        (["act|greet", "act|ask", "act|tell"], "single", ("act|ask", "act|greet", "act|tell")),
        (["food, drink", "food", "drink"], "single", ("drink", "food", "food, drink")),
        (["[spam]", "ham"], "single", ("[spam]", "ham")),
        (["w/find", "w/ask", "other"], "hierarchical", ("other", "w/ask", "w/find")),
        (["w / find", "w/ask"], "hierarchical", ("w/ask", "w/find")),
        (["n/a", "24/7", "x"], "single", ("24/7", "n/a", "x")),
        (["a/b", "a/c", "d", "e", "f"], "single", ("a/b", "a/c", "d", "e", "f")),
        (["a/b", "a/", "c"], "single", ("a/", "a/b", "c")),
        (["a", "a/b", "a/c"], "hierarchical", ("a", "a/b", "a/c")),
    ],
)
def test_the_kind_and_the_labels_are_read_from_the_cells(
    cells: list[Any], kind: Kind, classes: tuple[str, ...]
) -> None:
    scheme = load(labelled(*cells)).scheme
    assert (scheme.kind, scheme.classes) == (kind, classes)


def test_commas_that_may_separate_labels_are_noted_and_taken_when_asked() -> None:
    rows = labelled("food,drink", "food", "drink")
    assert "'food,drink' is taken as one label" in load(rows).notes[0]
    dataset = load(rows, kind="multi")
    assert dataset.scheme.classes == ("drink", "food")
    assert dataset.examples[0].labels == ("drink", "food")


def test_labels_that_look_alike_stay_apart_and_are_noted() -> None:
    dataset = load(
        labelled("Refund", "refund ", "ｒｅｆｕｎｄ", "lo\u200bgin", "login", "c++", "c#")
    )
    assert len(dataset.scheme.classes) == 7
    (note,) = dataset.notes
    assert note.startswith("the labels 'Refund', 'refund', 'ｒｅｆｕｎｄ' are different ones")
    assert note.endswith("as does 1 more group")
    assert load(labelled("refund", "login")).notes == ()


def test_a_number_is_the_label_of_its_digits() -> None:
    """Also as the decimal numbers that databases and Parquet files have."""
    numbers = (2, 2.0, Decimal("2.00"), "2", Decimal("2.5"), 2.5)
    found = [example.labels[0] for example in load(labelled(*numbers)).examples]
    assert found == ["2", "2", "2", "2", "2.5", "2.5"]


def test_a_named_separator_decides() -> None:
    dataset = load(labelled("a+b", "c"), columns={"separator": "+"})
    assert (dataset.scheme.kind, dataset.scheme.classes) == ("multi", ("a", "b", "c"))


def test_two_separators_that_both_make_sense_are_refused() -> None:
    with pytest.raises(DataError, match=r"by '\|' in some rows and by ';' in others"):
        load(labelled("a|b", "a;c", "a", "b", "c"), kind="multi")


def test_an_asked_kind_is_kept() -> None:
    assert load(labelled("w/find", "w/ask"), kind="single").scheme.kind == "single"
    assert load(labelled("a|b", "a", "b"), kind="single").scheme.classes == ("a", "a|b", "b")
    with pytest.raises(DataError, match="its kind cannot be 'multi'"):
        load(labelled("a"), scheme=LabelScheme.of("single", ["a"]), kind="multi")


def test_with_a_scheme_names_and_aliases_become_canonical_and_others_are_problems() -> None:
    scheme = LabelScheme("single", (Label("return", aliases=("退货",)), Label("refund")))
    dataset = load(labelled("退货", " refund ", "refund", "retrun"), scheme=scheme)
    assert [e.labels for e in dataset.examples] == [("return",), ("refund",), ("refund",)]
    (problem,) = dataset.problems
    assert problem.where == "t:4"
    assert problem.reason == "there is no label named 'retrun' (did you mean 'return'?)"


def test_with_a_scheme_a_label_that_holds_the_separator_stays_whole() -> None:
    scheme = LabelScheme.of("multi", ["speed", "price, value", "looks"])
    dataset = load(labelled("price, value", "speed, looks", "", "looks"), scheme=scheme)
    labels = [e.labels for e in dataset.examples]
    assert labels == [("price, value",), ("speed", "looks"), (), ("looks",)]


def test_labels_stand_in_scheme_order_each_once() -> None:
    scheme = LabelScheme("multi", (Label("z"), Label("a", aliases=("b",))))
    assert load(labelled(["a", "z", "b"]), scheme=scheme).examples[0].labels == ("z", "a")


# Problems


def test_every_row_that_is_not_an_example_is_a_problem_in_its_place() -> None:
    rows: list[Row | BadRow] = [
        {"text": " good ", "label": "a"},
        {"text": "\u200b\n", "label": "a"},
        {"text": "no label", "label": None},
        BadRow("t:4", "the row is torn"),
        {"label": "a"},
        *labelled("a", "b", "a", "b"),
    ]
    dataset = load(rows)
    assert dataset.examples[0].text == "good"
    assert [p.where for p in dataset.problems] == ["t:2", "t:3", "t:4", "t:5"]
    assert len(dataset.examples) + len(dataset.problems) == len(rows)


def test_single_label_data_with_one_item_lists_needs_to_be_asked_for() -> None:
    dataset = load(labelled(["a"], ["b"], ["a", "b"]), kind="single")
    assert [e.labels for e in dataset.examples] == [("a",), ("b",)]
    assert dataset.problems[0].reason == "the row has 2 labels; a single scheme takes one"


def test_data_of_which_more_than_half_is_bad_is_refused_with_the_first_problem() -> None:
    with pytest.raises(DataError, match="2 of 3 rows of rows:t cannot be used; the first, t:2"):
        load(labelled("a", "", ""))


def test_each_file_must_be_usable_by_itself() -> None:
    data = {"train": "rows:a", "test": "rows:b"}
    scheme = LabelScheme.of("single", ["x"])
    with pytest.raises(DataError, match="1 of 1 rows of rows:b cannot be used"):
        load_examples(data, registry(a=labelled("x", "x"), b=labelled("y")), scheme=scheme)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ([["a"]], "one of the labels is a list, not a text"),
        ([{"a": 1}], "one of the labels is an object, not a text"),
        (["a", None], "one of the labels is empty"),
        (b"a", "the label is bytes, not a text"),
        ("\ud800", "half of a surrogate pair stands in it, which is no character"),
    ],
)
def test_what_is_no_label_is_a_problem_of_its_row(label: Any, reason: str) -> None:
    (problem,) = load(labelled("a", label, "b")).problems
    assert (problem.where, problem.reason) == ("t:2", reason)


def test_labels_that_make_no_scheme_of_the_kind_asked_for_are_refused() -> None:
    with pytest.raises(DataError, match="make no hierarchical scheme: the label path 'a//b'"):
        load(labelled("a//b", "c"), kind="hierarchical")


def test_python_lists_are_named_as_what_they_are() -> None:
    with pytest.raises(DataError, match="write a JSON list"):
        load(labelled("['a', 'b']", "['a']"))


# What data sets say of themselves


def test_the_fingerprint_changes_with_texts_labels_and_splits_and_not_with_the_place() -> None:
    def fingerprint(name: str, rows: Sequence[Row], split: str = "all") -> str:
        return load_examples({split: f"rows:{name}"}, registry(**{name: rows})).fingerprint()

    first = fingerprint("t", labelled("a", "b"))
    assert first == fingerprint("elsewhere", [{**r, "more": "1"} for r in labelled("a", "b")])
    assert (
        len(
            {first, fingerprint("t", labelled("a", "a")), fingerprint("t", labelled("a", "b", "a"))}
        )
        == 3
    )
    assert first != fingerprint("t", labelled("a", "b"), "train")


def test_the_summary_counts_and_points_at_repetitions_and_contradictions() -> None:
    long = "a somewhat longer question about tables, number "
    rows = [
        {"text": "How do I return it?", "label": "return", "split": "train"},
        {"text": "How do I return it?", "label": "return", "split": "test"},
        {"text": "how do i  return it", "label": "refund", "split": "train"},
        {"text": long + "1", "label": "refund", "split": "train"},
        {"text": long + "2", "label": "refund", "split": ""},
        {"text": "", "label": "refund", "split": ""},
    ]
    summary = summarise(load(rows))
    assert summary.splits == {"train": 3, "test": 1, "unsplit": 1}
    assert summary.counts["train"] == {"refund": 2, "return": 1}
    assert summary.counts["test"] == {"refund": 0, "return": 1}
    assert [d.wheres for d in summary.duplicates] == [("t:1", "t:2")]
    (conflict,) = summary.conflicts
    assert [where for where, _ in conflict.places] == ["t:1", "t:2", "t:3"]
    assert summary.near_duplicate_groups == 2
    assert (summary.examples, summary.problems) == (5, 1)
    assert (summary.lengths.shortest, summary.lengths.longest) == (19, 49)


def test_rows_that_cannot_be_used_are_told_of_by_place_and_reason() -> None:
    rows = [{"text": f"text {i}", "label": "a" if i % 2 else "b"} for i in range(20)]
    (note,) = row_notes(load([*rows, *({"text": "", "label": "a"} for _ in range(7))]))
    assert note.startswith("7 of 27 rows cannot be used: t:21: ")
    assert note.count("t:2") == 5
    assert note.endswith("; and 2 more")


def test_one_note_says_how_many_texts_contradict_each_other_and_where_the_first_does() -> None:
    rows = [
        {"text": "How do I return it?", "label": "return"},
        {"text": "where is it", "label": "refund"},
        *({"text": "how do i  return it", "label": "refund"} for _ in range(5)),
        {"text": "x" * 100, "label": "return"},
        {"text": "x" * 100, "label": "refund"},
    ]
    examples = load(rows).examples
    (note,) = conflict_notes(examples)
    assert note == (
        "2 texts stand with different labels, the first of them 'How do I return it?': return at "
        "t:1, refund at t:3, t:4, t:5 and 2 more; platform data check lists them all"
    )
    assert len(conflicts(examples)) == 2
    (alone,) = conflict_notes(examples[7:])
    assert alone.startswith(f"1 text stands with different labels, '{'x' * 57}...': return at t:8")
    assert conflict_notes(examples[:2]) == []


def test_reading_data_needs_no_array_library() -> None:
    import subprocess
    import sys

    code = "import sys, adapter_platform.core.examples as _; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
