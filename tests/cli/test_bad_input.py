"""What users get wrong ends in one sentence, the right exit code, and an unchanged store.

A row of the table is a command line in a directory of bad files; what no line can say follows it.
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_platform.plugins.testing import make_tiny_base

Run = Callable[..., Result]
Spawn = Callable[..., "subprocess.CompletedProcess[str]"]

ROWS = [f"how is text number {i} of {label},{label}" for i in range(6) for label in ("a", "b")]
GOOD = "\n".join(["text,label", *ROWS]).encode()
FILES: Mapping[str, bytes] = {
    "good.csv": GOOD,
    "empty.csv": b"",
    "header.csv": b"text,label\n",
    "latin.csv": "text,label\nsch\xf6n,a\nh\xfcbsch,b\n".encode("latin-1"),
    "binary.csv": bytes(range(256)) * 20,
    "columns.csv": b"foo,bar\n1,2\n3,4\n",
    "unlabelled.csv": b"text\none\ntwo\n",
    "nothing.csv": b"text,label\n,\n,\n",
    "one_class.csv": b"text,label\n" + b"".join(b"text %d,a\n" % i for i in range(9)),
    "one_each.csv": b"text,label\none,a\ntwo,b\nthree,c\n",
    "bad.jsonl": b"{\nnot json\n[1]\n",
    "array.jsonl": b'["text", "label"]\n',
    "bad.parquet": b"PAR0 this is no parquet file",
    "data.xyz": GOOD,
    "recipe.toml": b"epochs = \n",
    "recipe.json": b"[1, 2]",
    "notes.txt": b"one\n",
    "report.xlsx": b"somebody's",
    "new.recipe.toml": b"epochs = 1\n",
    "space.toml": b"[epochs]\nlow = 1\nhigh = 2\n",
}
TEXT = "我想知道怎么付款，" * 10  # longer than the name of a file may be


@dataclass(frozen=True)
class Bad:
    """A command line that cannot be done.

    Attributes:
        line: its words; ``{base}`` and ``{other}`` are two base directories, ``{store}`` the store.
        says: part of the sentence.
        hint: part of the hint, or None where none is expected.
        code: exit code.
        harm: done to the store before the command runs.
        env: further environment variables.
    """

    line: str
    says: str
    hint: str | None = None
    code: int = 1
    harm: Callable[[Path], Any] | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.line or "nothing"


def damage(store: Path) -> None:
    """Changes one byte of an adapter's weights."""
    path = store / "desk" / "2" / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lose_head(store: Path) -> None:
    (store / "desk" / "2" / "head.safetensors").unlink()


def break_manifest(store: Path) -> None:
    (store / "desk" / "2" / "manifest.json").write_text("{", encoding="utf-8")


def empty_manifest(store: Path) -> None:
    (store / "desk" / "2" / "manifest.json").write_text("{}", encoding="utf-8")


def break_pointer(store: Path) -> None:
    (store / "desk" / "current").write_text("newest", encoding="utf-8")


def point_nowhere(store: Path) -> None:
    (store / "desk" / "current").write_text("9", encoding="utf-8")


TRAIN = "adapters train new --base {base} --data"

WORDING = [
    Bad("clasify x", "there is no command named 'clasify'", "did you mean 'classify'", 2),
    Bad("adapters lst", "there is no command named 'lst'", "did you mean 'list'", 2),
    Bad("adapters show", "missing argument", "platform adapters show --help", 2),
    Bad("adapters list --jsn", "no such option: --jsn", "--help", 2),
    Bad("adapters show desk extra", "unexpected extra argument", "--help", 2),
    Bad("classify -a desk --top-k 0 x", "--top-k", "--help", 2),
    Bad("classify -a desk --top-k many x", "--top-k", "--help", 2),
    Bad("classify -a desk --engine quick x", "quick", "--help", 2),
    Bad(
        "classify -a desk --device toaster x", "the setting 'device' cannot be 'toaster'", "DEVICE"
    ),
    Bad("classify -a desk --input notes.txt x", "both given", "one of them", 2),
    Bad("classify -a desk -i good.csv -o out.csv --json", "two formats", "--json", 2),
    Bad(f"{TRAIN} good.csv --data good.csv", "given twice", "--data train=A", 2),
    Bad(f"{TRAIN} train=good.csv --data good.csv", "does not say which split", "train=A", 2),
    Bad(f"{TRAIN} good.csv --set epochs", "not of the form key=value", "--set epochs=5", 2),
    Bad(f"{TRAIN} good.csv --kind fuzzy", "fuzzy", "--help", 2),
    Bad("adapters eval desk --split dev", "there is no split named 'dev'", "test, train, val", 2),
    Bad("adapters compare desk", "missing argument", "platform adapters compare --help", 2),
    Bad("adapters compare desk desk@2", "desk@2 cannot be compared with itself", "NAME@VERSION", 2),
    Bad("adapters compare desk tags", "desk@2 has single labels and tags@1", "labels", 2),
    Bad("adapters compare desk support", "desk@2 and support@", "whose labels are the same", 2),
    Bad("adapters remove desk", "needs a yes", "--yes", 2),
]

NAMES = [
    Bad("classify -a dessk x", "there is no adapter named 'dessk'", "did you mean 'desk'"),
    Bad("classify -a desk@9 x", "desk has no version 9", "its versions: 1, 2"),
    Bad("classify -a desk@newest x", "does not name a version", "NAME@VERSION", 2),
    Bad("classify -a auto:desk,tags x", "none has a routing profile", "adapters profile NAME", 2),
    Bad("classify -a auto:desk,tagz x", "there is no adapter named 'tagz'", "mean 'tags'"),
    Bad("classify -a auto:desk, x", "'auto:desk,' lacks a name", "auto:NAME,NAME", 2),
    Bad("adapters eval auto:desk", "'auto:desk' is no adapter", "desk, feedback", 2),
    Bad("adapters eval auto", "'auto' is no adapter", "desk, feedback", 2),
    Bad("adapters profile desk", "there is no data to make the profile of desk@2 from", "--data"),
    Bad("classify x", "it is not said which adapter to ask", "--adapter", 2),
    Bad("adapters train new", "there is no data to train 'new' from", "--data"),
    Bad("adapters eval desk", "there is no data to judge desk@2 by", "--data"),
    Bad("adapters compare desk desk@1", "there is no data to judge desk@2 by", "--data"),
    Bad("adapters compare desk dessk", "there is no adapter named 'dessk'", "did you mean 'desk'"),
    Bad("domains show suport", "there is no domain named 'suport'", "did you mean 'support'"),
    Bad("plugins show sorces", "there is no plugin named 'sorces'", "did you mean 'sources'"),
    Bad(f"{TRAIN} good.csv --preset sead", "no preset named 'sead'", "did you mean 'seed'"),
    Bad(f"{TRAIN} good.csv --set epoch=3", "no recipe setting named 'epoch'", "'epochs'"),
    Bad(f"{TRAIN} good.csv --set epochs=many", "'epochs' cannot be 'many'", "from 1 on or 'auto'"),
    Bad(
        f"{TRAIN} good.csv --set batch_size=0", "'batch_size' cannot be 0", "left out, it is 'auto'"
    ),
    Bad(f"{TRAIN} good.csv --set seed=-1", "'seed' cannot be -1", "from 0 to below 4294967296"),
    Bad(f"{TRAIN} good.csv --set seed=4294967296", "'seed' cannot be 4294967296", "from 0 to"),
    Bad(f"{TRAIN} good.csv --set epochs=true", "'epochs' cannot be true", "from 1 on or 'auto'"),
    Bad(
        f"{TRAIN} good.csv --set peft.r=x",
        "'peft.r' cannot be 'x': it is the rank",
        "a whole number from 1 on; left out, it is 8",
    ),
    Bad(
        f"{TRAIN} good.csv --set peft_method=SHADOW",
        "SHADOW cannot train a classifier: it needs a generating model",
    ),
    Bad(
        f"{TRAIN} good.csv --set peft_method=TRAINABLE_TOKENS",
        "it is not said which tokens",
        "peft.token_indices",
    ),
    Bad(
        f"{TRAIN} good.csv --set peft_method=PROMPT_TUNING --set peft.num_virtual_tokens=200",
        "200 virtual tokens leave no room for a text",
        "lower peft.num_virtual_tokens",
    ),
    Bad(
        f"{TRAIN} good.csv --set peft_method=ADALORA --set peft.total_step=9",
        "ADALORA's total_step is the number of steps of the training itself",
        "leave peft.total_step out",
    ),
    Bad(
        f"{TRAIN} good.csv --set peft_method=LARA",
        "no PEFT method named 'LARA'",
        "did you mean 'LORA'",
    ),
    Bad(f"{TRAIN} good.csv --recipe none.toml", "there is no recipe file none.toml", "seen from"),
    Bad(f"{TRAIN} good.csv --recipe recipe.toml", "the recipe recipe.toml is not TOML"),
    Bad(f"{TRAIN} good.csv --recipe recipe.json", "is not a table of settings"),
    Bad("adapters train ../up --data good.csv", "cannot be named '../up'", "letters and digits", 2),
    Bad("adapters train current --data good.csv", "the name is reserved", "letters and digits", 2),
]

DATA = [
    Bad(f"{TRAIN} none.csv", "there is no file none.csv", "seen from"),
    Bad(f"{TRAIN} .", "is a directory", "name a file in it"),
    Bad(f"{TRAIN} csv:.", "is a directory", "name a file in it"),
    Bad(f"{TRAIN} empty.csv", "empty.csv is empty"),
    Bad(f"{TRAIN} header.csv", "header.csv has no rows", "a line below its header"),
    Bad(f"{TRAIN} latin.csv", "latin.csv is not UTF-8", "save it as UTF-8"),
    Bad(f"{TRAIN} binary.csv", "the header cannot be read (binary.csv:1)", "names of its columns"),
    Bad(f"{TRAIN} columns.csv", "no column for the text", "--text-column"),
    Bad(f"{TRAIN} unlabelled.csv", "no column for the label", "--label-column"),
    Bad(f"{TRAIN} good.csv --text-column txt", "no column 'txt'", "--text-column"),
    Bad(f"{TRAIN} nothing.csv", "2 of 2 rows of nothing.csv cannot be used"),
    Bad(f"{TRAIN} one_class.csv", "every example has the same answer", "a second class"),
    Bad(f"{TRAIN} one_each.csv", "every class has one example", "add examples"),
    Bad(f"{TRAIN} bad.jsonl", "the first, bad.jsonl:1: this is not JSON"),
    Bad(f"{TRAIN} array.jsonl", "array.jsonl:1: it holds a list, not an object"),
    Bad(f"{TRAIN} bad.parquet", "bad.parquet cannot be read as Parquet"),
    Bad(f"{TRAIN} data.xyz", "data.xyz has the suffix '.xyz'", "csv:"),
    Bad(f"{TRAIN} ftp:data.csv", "there is no data source named 'ftp'", "csv, hf, jsonl"),
    Bad(f"{TRAIN} tst=good.csv", "there is no file tst=good.csv", "seen from"),
    Bad(f"{TRAIN} train=good.csv --data dev=none.csv", "there is no file none.csv", "seen from"),
    Bad(f"{TRAIN} test=good.csv", "has no training examples, only test", "name a training file"),
    Bad("data check empty.csv", "empty.csv is empty"),
    Bad("data check none.csv", "there is no file none.csv", "seen from"),
    Bad("data check unlabelled.csv --label-errors", "no column for the label", "--label-column"),
    Bad("data check good.csv --base no/where/at/all", "does not exist", "bases list"),
    Bad("data check ''", "the data's place is empty", "csv:data.csv"),
    Bad("data check test=", "the data's place is empty", "csv:data.csv"),
    Bad("adapters eval desk --data ''", "the data's place is empty", "csv:data.csv"),
    Bad(f"data check {TEXT}", "has no suffix", "csv:"),
    Bad("data suggest empty.csv", "empty.csv is empty"),
    Bad("data suggest none.csv", "there is no file none.csv", "seen from"),
    Bad("data suggest header.csv", "header.csv has no texts"),
    Bad("data suggest nothing.csv", "nothing.csv has no texts; the first row"),
    Bad("data suggest columns.csv", "columns.csv has no column for the text", "--text-column"),
    Bad("data suggest good.csv --text-column no", "has no column 'no'", "--text-column"),
    Bad("data suggest notes.txt --text-column no", "lines of text have no column", "--text-column"),
    Bad("data suggest good.csv --adapter no", "no adapter named 'no'", "desk"),
    Bad("data suggest good.csv --labelled good.csv", "none of the 12 texts is left to be labelled"),
    Bad("data suggest good.csv -n 0", "greater than or equal to 1", "--help", 2),
    Bad("data suggest good.csv -o good.csv", "good.csv is the input too", "another --output", 2),
    Bad(
        "data suggest good.csv --labelled csv:unlabelled.csv -o unlabelled.csv",
        "unlabelled.csv is the input too",
        "another --output",
        2,
    ),
    Bad("data suggest good.csv -o no/where.csv", "there is no directory no"),
    Bad("data suggest good.csv -o next.xls", "cannot be written as '.xls'", ".csv, .tsv", 2),
    Bad("data suggest good.csv -o notes.txt", "cannot be written as '.txt'", ".csv, .tsv", 2),
]

FILE_ROWS = [
    Bad("classify -a desk -i none.csv", "there is no file none.csv", "seen from"),
    Bad("classify -a desk -i none.txt", "none.txt cannot be read"),
    Bad(f"classify -a desk -i {TEXT}", "has no suffix", "csv:"),
    Bad(f"classify -a desk -i {TEXT} -o out.csv", "has no suffix", "csv:"),
    Bad(f"classify -a desk -i {TEXT}.txt", "cannot be read: File name too long"),
    Bad("classify -a desk -i .", "is a directory", "name a file in it"),
    Bad("classify -a desk -i columns.csv", "columns.csv has no column 'text'", "'foo', 'bar'"),
    Bad("classify -a desk -i good.csv --text-field no", "no column 'no'", "--text-field"),
    Bad("classify -a desk -i notes.txt --text-field no", "lines of text have no", "--text-field"),
    Bad("classify -a desk -i - --text-field text", "lines of text have no", "--text-field"),
    Bad("classify -a desk --text-field no x", "names a column of --input", code=2),
    Bad("classify -a desk -i bad.parquet", "bad.parquet cannot be read as Parquet"),
    Bad("classify -a desk -i good.csv -o no/where.csv", "there is no directory no"),
    Bad("classify -a desk -i good.csv -o .", ". is a directory"),
    Bad("classify -a desk -i ''", "the data's place is empty", "give a file"),
    Bad("classify -a desk -i good.csv -o good.csv", "is the input too", "another --output", 2),
    Bad("classify -a desk -i csv:good.csv -o ./good.csv", "is the input too", "another", 2),
    Bad("classify -a desk -i good.csv -o out.xlsx", "cannot be written as '.xlsx'", ".csv", 2),
    Bad("classify -a desk -i good.csv -o report.xlsx", "cannot be written as '.xlsx'", ".csv", 2),
    Bad(f"classify -a desk x -o {TEXT}.csv", "cannot be written: File name too long"),
]

ADAPTERS = [
    Bad(
        "classify -a desk x",
        "is damaged: adapter_model.safetensors has changed",
        "verify desk",
        harm=damage,
    ),
    Bad(
        "classify -a desk x",
        "is damaged: head.safetensors is missing",
        "verify desk",
        harm=lose_head,
    ),
    Bad("classify -a desk x", "cannot be read", "promote desk", harm=break_manifest),
    Bad("classify -a desk x", "has manifest format None", "upgrade", harm=empty_manifest),
    Bad("adapters show desk", "cannot be read", "promote desk", harm=break_manifest),
    Bad("classify -a desk x", "hold a version number", "promote desk", harm=break_pointer),
    Bad("classify -a desk x", "is 9, which is not in", "promote desk", harm=point_nowhere),
    Bad("adapters eval desk --data good.csv --html no/where.html", "there is no directory no"),
    Bad("adapters eval desk --data good.csv --html .", ". is a directory"),
    Bad("adapters compare desk desk@1 --html no/where.html", "there is no directory no"),
    Bad("adapters eval desk --output no/where.json", "there is no directory no"),
    Bad("adapters compare desk desk@1 --output no/where.json", "there is no directory no"),
    Bad(
        "adapters eval desk --data test=good.csv --output good.csv",
        "good.csv is the input too",
        "another --output",
        2,
    ),
    Bad(
        "adapters compare desk desk@1 --data good.csv --html ./good.csv",
        "good.csv is the input too",
        "another --html",
        2,
    ),
    Bad(
        "adapters tune new --base {base} --data good.csv --recipe new.recipe.toml",
        "new.recipe.toml is the input too",
        "another --output",
        2,
    ),
    Bad(
        "adapters tune new --base {base} --data good.csv --space space.toml --output space.toml",
        "space.toml is the input too",
        "another --output",
        2,
    ),
    Bad("adapters promote desk@2", "is damaged", "verify", harm=damage),
    Bad("adapters promote desk@7", "desk has no version 7", "1, 2"),
    Bad("adapters rollback tags", "no version before tags@1"),
    Bad("adapters remove desk@2 -y", "is current and cannot be removed", "promote desk"),
    Bad("adapters remove nobody -y", "there is no adapter named 'nobody'", "desk, feedback"),
    Bad("classify -a desk --base {other} x", "was trained on the base", "--base"),
    Bad("classify -a desk --base no/where/at/all x", "does not exist", "bases list"),
    Bad("classify -a desk --base good.csv x", "is a file, not a model directory"),
    Bad("classify -a desk --base . x", "is not a model directory"),
    Bad("adapters import none", "none does not exist", "adapter_config.json"),
    Bad("adapters import good.csv", "is a file, not a directory", "adapter_config.json"),
    Bad("adapters import .", "holds no adapter", "save_pretrained"),
    Bad("adapters export desk .", "holds something", "a new directory"),
    Bad("adapters export desk out --format stock", "pools with 'mean'", "--format platform"),
    Bad("adapters export desk out --format zip", "zip", "--help", 2),
    Bad("adapters export dessk out", "there is no adapter named 'dessk'", "did you mean 'desk'"),
    Bad("bases fetch no/where/at/all", "does not exist", "bases list"),
    Bad(
        "bases fetch no-such-model-on-this-machine",
        "cannot be had from the Hub",
        "minilm, multilingual",
    ),
]

PLACES = [
    Bad("adapters list --store good.csv", "good.csv is not a directory", "--store"),
    Bad("adapters list --store=", "the path is empty", "--help", 2),
    Bad(
        "classify -a desk x --store good.csv/below", "good.csv/below is not a directory", "--store"
    ),
    Bad(
        "adapters train new --data good.csv --store good.csv",
        "good.csv cannot be written",
        "another store with --store",
    ),
    Bad(
        "adapters list",
        "the setting 'device' cannot be",
        "PLATFORM_DEVICE",
        env={"PLATFORM_DEVICE": "gpu7"},
    ),
    Bad(
        "adapters list",
        "'batch_tokens' cannot be",
        "PLATFORM_BATCH",
        env={"PLATFORM_BATCH_TOKENS": "lots"},
    ),
]

TABLE = [*WORDING, *NAMES, *DATA, *FILE_ROWS, *ADAPTERS, *PLACES]


@pytest.fixture
def working_directory(tmp_path: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the bad files in it."""
    directory = tmp_path / "working_directory"
    directory.mkdir()
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture(scope="session")
def other_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of another width than the adapters' own."""
    return make_tiny_base(tmp_path_factory.mktemp("bases") / "other", hidden=16, seed=5)


def check(result: Result, bad: Bad) -> None:
    """One sentence, a hint where one is due, the right code, no traceback, no result."""
    assert result.exit_code == bad.code, result.output
    assert "Traceback" not in result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    hints = [line for line in result.stderr.splitlines() if line.startswith("hint: ")]
    assert len(errors) == 1, result.stderr
    assert bad.says in errors[0]
    assert len(hints) == (bad.hint is not None), result.stderr
    assert all(bad.hint is not None and bad.hint in hint for hint in hints)
    assert result.stdout == ""


@pytest.mark.parametrize("bad", TABLE, ids=str)
def test_it_ends_in_a_sentence_and_leaves_the_store_as_it_was(
    bad: Bad,
    run: Run,
    working_directory: Path,
    store_dir: Path,
    tiny_base: Path,
    other_base: Path,
    tree_hash: Callable[[Path], str],
) -> None:
    if bad.harm:
        bad.harm(store_dir)
    before, files = tree_hash(store_dir), tree_hash(working_directory)
    line = bad.line.format(base=tiny_base, other=other_base, store=store_dir)
    result = run(*shlex.split(line), **bad.env)
    check(result, bad)
    if os.environ.get("SHOW_SENTENCES"):
        print(f"\n$ platform {bad.line}\n{result.stderr}", end="")
    assert tree_hash(store_dir) == before
    assert tree_hash(working_directory) == files


def test_the_table_is_as_long_as_it_should_be_and_every_row_says_something() -> None:
    assert all(bad.says and bad.hint != "" for bad in TABLE)
    assert len({bad.line for bad in TABLE}) >= 40


def test_a_settings_file_that_is_broken_or_has_an_unknown_key_is_said(
    run: Run, working_directory: Path
) -> None:
    (working_directory / "platform.toml").write_text("store = \n", encoding="utf-8")
    check(run("adapters", "list"), Bad("", "platform.toml cannot be read"))
    (working_directory / "platform.toml").write_text('stoer = "x"\n', encoding="utf-8")
    check(
        run("adapters", "list"),
        Bad("", "no setting of platform.toml named 'stoer'", "did you mean 'store'"),
    )


def test_a_huge_text_is_answered_with_a_warning(run: Run, store_dir: Path) -> None:
    result = run("classify", "-a", "desk", "数据 " * 500_000)
    assert result.exit_code == 0
    assert "warning: the text is longer" in result.stderr


def limit_files() -> None:
    """No file may grow beyond a few bytes, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def test_a_full_disk_leaves_no_half_result_file(
    spawn: Spawn, working_directory: Path, store_dir: Path, tree_hash: Callable[[Path], str]
) -> None:
    before = tree_hash(store_dir)
    line = ("classify", "-a", "desk", "-i", "good.csv", "-o", "out.csv")
    done = spawn(*line, preexec_fn=limit_files, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1
    assert "error: out.csv cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in working_directory.iterdir()) == sorted(FILES)
    assert tree_hash(store_dir) == before


def test_a_full_disk_ends_a_training_with_a_sentence_and_publishes_nothing(
    spawn: Spawn,
    working_directory: Path,
    store_dir: Path,
    tiny_base: Path,
    tree_hash: Callable[[Path], str],
) -> None:
    before = tree_hash(store_dir)
    line = ("adapters", "train", "new", "--data", "good.csv", "--base", tiny_base)
    settings = ("--set", "epochs=1", "--set", "max_length=16")
    done = spawn(*line, *settings, preexec_fn=limit_files, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1, done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert tree_hash(store_dir) == before


@contextmanager
def somebody_else() -> Iterator[None]:
    """Without root's right to write anywhere, for as long as the block lasts."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_store_is_listed_but_takes_no_change(
    run: Run, working_directory: Path, store_dir: Path, tree_hash: Callable[[Path], str]
) -> None:
    changes = (["adapters", "rollback", "desk"], ["adapters", "remove", "tags", "-y"])
    shared = Path(shutil.copytree(store_dir, working_directory / "shared"))
    for line in changes:  # while every module can still be read
        assert run(*line).exit_code == 0
    for path in [shared, *shared.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in [p for p in working_directory.parents if os.getuid() == p.stat().st_uid]:
        path.chmod(path.stat().st_mode | 0o055)
    before = tree_hash(shared)
    with somebody_else():
        listed = run("--store", shared, "adapters", "list")
        refused = [run("--store", shared, *line) for line in changes]
    assert "desk" in listed.stdout
    for result in refused:
        check(result, Bad("", "cannot be written", "--store"))
    assert tree_hash(shared) == before
    for path in [shared, *shared.rglob("*")]:
        path.chmod(0o755)
