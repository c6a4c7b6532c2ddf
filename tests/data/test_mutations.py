"""Real files, damaged in every way that files get damaged, end in a Dataset or in an error with a remedy."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import shared_data

from tunesmith.core.context import Context
from tunesmith.core.errors import TunesmithError
from tunesmith.data.ingest import IngestOptions, ingest

Draw = random.Random
Mutation = Callable[[bytes, Draw], bytes]


def truncate(content: bytes, draw: Draw) -> bytes:
    return content[: draw.randrange(len(content))]


def flip_bytes(content: bytes, draw: Draw) -> bytes:
    out = bytearray(content)
    for _ in range(draw.choice([1, 5, 50, 500])):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def insert_nul(content: bytes, draw: Draw) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + b"\0" * draw.choice([1, 3, 1000]) + content[at:]


def change_quotes(content: bytes, draw: Draw) -> bytes:
    return draw.choice(
        [
            lambda c: c.replace(b'"', b""),
            lambda c: c.replace(b'"', b"'"),
            lambda c: c.replace(b",", b'",', 5),
            lambda c: c.replace(b'"', b'"""', draw.randrange(1, 20)),
            lambda c: c[: len(c) // 2] + b'"' + c[len(c) // 2 :],
            lambda c: c.replace(b'""', b'\\"'),
        ]
    )(content)


def delete_header(content: bytes, draw: Draw) -> bytes:
    return content.partition(b"\n")[2]


def duplicate_column(content: bytes, draw: Draw) -> bytes:
    head, _, rest = content.partition(b"\n")
    names = head.split(b",")
    if draw.random() < 0.5 and len(names) > 1:
        return b",".join([names[0]] * len(names)) + b"\n" + rest
    return head + b"," + names[0] + b"\n" + b"\n".join(line + b",x" for line in rest.split(b"\n"))


def swap_delimiter(content: bytes, draw: Draw) -> bytes:
    return content.replace(b",", draw.choice([b";", b"\t", b"|", b"\x01", b" "]))


def mix_encodings(content: bytes, draw: Draw) -> bytes:
    lines = content.split(b"\n")
    for _ in range(min(30, len(lines))):
        at = draw.randrange(len(lines))
        text = lines[at].decode("utf-8", "replace") + draw.choice(["é", "–", "Ж", "日本"])
        lines[at] = text.encode(draw.choice(["latin-1", "cp1252", "utf-8", "koi8-r", "utf-16-le"]), "replace")
    return b"\n".join(lines)


def giant_cell(content: bytes, draw: Draw) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + draw.choice([b"a", b"ab ", b"\xe2\x82\xac"]) * draw.choice([10_000, 500_000]) + content[at:]


def one_row(content: bytes, draw: Draw) -> bytes:
    return b"\n".join(content.split(b"\n")[: draw.choice([1, 2, 3])])


def few_rows(content: bytes, draw: Draw) -> bytes:
    return b"\n".join(content.split(b"\n")[: draw.randrange(2, 40)])


def empty(content: bytes, draw: Draw) -> bytes:
    return draw.choice([b"", b"\n", b" \n\n", b"\xef\xbb\xbf", b"\0", b",,,\n,,,\n"])


def binary(content: bytes, draw: Draw) -> bytes:
    return draw.choice([b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"PK\x03\x04", b"\x1f\x8b", b""]) + draw.randbytes(5000)


def deep_json(content: bytes, draw: Draw) -> bytes:
    depth = draw.choice([50, 2000, 200_000])
    return draw.choice([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b'[{"a":' * depth])


def bad_utf16(content: bytes, draw: Draw) -> bytes:
    wide = content.decode("utf-8", "replace").encode("utf-16")
    return draw.choice([wide[:-1], wide[1:], wide[:1000] + b"\xd8" + wide[1000:], b"\xff\xfe" + content])


def shuffle_lines(content: bytes, draw: Draw) -> bytes:
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


def splice(content: bytes, draw: Draw) -> bytes:
    a, b = sorted(draw.randrange(len(content)) for _ in range(2))
    return content[:a] + content[b:]


def repeat(content: bytes, draw: Draw) -> bytes:
    lines = content.split(b"\n")[:30]
    return b"\n".join(lines * 10)


def odd_newlines(content: bytes, draw: Draw) -> bytes:
    return content.replace(b"\n", draw.choice([b"\r", b"\r\n", b"\n\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8"]))


def odd_json_values(content: bytes, draw: Draw) -> bytes:
    old = draw.choice([b'": "', b'":', b'"', b"}", b"1"])
    return content.replace(
        old, draw.choice([b'": NaN', b": null", b"[]", b'": {"x": "', b"1e999", b'"\\ud800'[:6], b"{}"]), 9
    )


MUTATIONS: tuple[Mutation, ...] = (
    truncate, flip_bytes, insert_nul, change_quotes, delete_header, duplicate_column, swap_delimiter, mix_encodings,
    giant_cell, one_row, few_rows, empty, binary, deep_json, bad_utf16, shuffle_lines, splice, repeat, odd_newlines,
    odd_json_values,
)  # fmt: skip


def one_class(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "label": "same"} for row in rows]


def sources() -> dict[str, bytes]:
    """Name -> content of small real files in every format."""
    with (shared_data("banking77") / "train.csv").open(encoding="utf-8", newline="") as handle:
        bank = [{"text": r["text"], "label": r["category"]} for r in csv.DictReader(handle)]
    bank = Draw(1).sample(bank, 300)
    lines = (shared_data("sms_spam") / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines()
    sms = [json.loads(line) for line in Draw(2).sample(lines, 300)]
    found = {
        "bank.csv": _csv(bank, ","),
        "bank.tsv": _csv(bank, "\t"),
        "one_class.csv": _csv(one_class(bank), ","),
        "sms.jsonl": "\n".join(map(json.dumps, sms)).encode(),
        "sms.json": json.dumps(sms).encode(),
        "dialog.csv": (shared_data("mts_dialog") / "MTS-Dialog-ValidationSet.csv").read_bytes(),
        "tweets.tsv": (shared_data("afrisenti") / "tso" / "dev.tsv").read_bytes(),
        "nested.json": (shared_data("wrench_youtube") / "valid.json").read_bytes(),
        "claims.tsv": b"\n".join((shared_data("patent_claims") / "single_claim.tsv").read_bytes().split(b"\n")[:60]),
        "bank.xlsx": _xlsx(bank),
        "bank.parquet": _parquet(bank),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as handle_zip:
        handle_zip.writestr("x_train.tsv", _csv(bank[:200], "\t"))
        handle_zip.writestr("x_test.tsv", _csv(bank[200:], "\t"))
    found["bank.zip"] = archive.getvalue()
    found["page.html"] = b"<html><body><p>" + _csv(bank, ",") + b"</p></body></html>"
    found["mail.eml"] = b"Subject: x\nFrom: a@example.com\nContent-Type: text/plain\n\n" + _csv(bank, ",")
    return found


def _csv(rows: list[dict[str, str]], delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _xlsx(rows: list[dict[str, str]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _parquet(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def damaged(count: int, seed: int) -> Iterator[tuple[int, str, str, bytes, Draw]]:
    """(number, what was done, file name, content, draw) of `count` damaged files."""
    files = sources()
    draw = Draw(seed)
    for at in range(count):
        name = draw.choice(sorted(files))
        content = files[name]
        kinds = [draw.choice(MUTATIONS) for _ in range(draw.choice([1, 1, 2]))]
        for kind in kinds:
            content = kind(content, draw) if content else content
        yield at, f"{at}: {name} after {', '.join(kind.__name__ for kind in kinds)}", name, content, draw


def survive(count: int, seed: int, folder: Path) -> Counter[str]:
    """Run `count` damaged files through ingest; whatever is no TunesmithError propagates. Returns the outcomes."""
    outcomes: Counter[str] = Counter()
    for at, what, name, content, draw in damaged(count, seed):
        place = folder / str(at)
        place.mkdir()
        path = place / name
        path.write_bytes(content)
        options = IngestOptions(path=path, target="label" if draw.random() < 0.3 else "auto")
        try:
            data = ingest(options, Context(place / "work", seed=at))
        except TunesmithError as error:
            outcomes["refused"] += 1
            if not (error.message and error.hint):
                pytest.fail(f"{what}: no remedy in '{error.message}'")
            if list(place.glob("work/*")):
                pytest.fail(f"{what}: half-written")
        except BaseException as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        else:
            outcomes["used"] += 1
            assert data.count("train") > 0, what
            assert data.table.column("target").to_pylist()[int(data.rows("test", blind=True).ids[0])] is None, what
    return outcomes


def test_150_damaged_files_end_in_a_dataset_or_an_error_with_a_remedy(tmp_path: Path) -> None:
    outcomes = survive(150, seed=3, folder=tmp_path)
    assert sum(outcomes.values()) == 150
    assert outcomes["refused"] >= 30, "the mutations must break some files, or they test nothing"
    assert outcomes["used"] >= 10, "a reader that refuses everything is no reader"


@pytest.mark.slow
def test_1000_damaged_files_end_in_a_dataset_or_an_error_with_a_remedy(tmp_path: Path) -> None:
    outcomes = survive(1000, seed=2026, folder=tmp_path)
    assert sum(outcomes.values()) == 1000


@pytest.mark.slow
def test_50_damaged_files_through_the_command_line(tmp_path: Path) -> None:
    """Exit code 0 with a report, or 2 with a message and a remedy, and never a stage that is half there."""
    outcomes: Counter[int] = Counter()
    for at, what, name, content, _ in damaged(50, seed=50):
        place = tmp_path / str(at)
        place.mkdir()
        (place / name).write_bytes(content)
        words = [place / name, "--out", place / "run", "--budget", "20s", "--threads", "1"]
        words += ["--only", "majority", "--only", "tfidf", "--only", "copying"]
        done = subprocess.run(
            [sys.executable, "-m", "tunesmith", "run", *map(str, words)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=place,
        )  # fmt: skip
        outcomes[done.returncode] += 1
        assert "Traceback" not in done.stdout + done.stderr, f"{what}\n{done.stderr[-2000:]}"
        assert done.returncode in (0, 2), f"{what}: exit code {done.returncode}\n{done.stderr[-2000:]}"
        assert (place / "run/report.html").exists() == (done.returncode == 0), what
        stages = [folder for folder in place.glob("run/0*") if folder.is_dir()]
        assert all((folder / "stage.json").exists() for folder in stages), what
        if done.returncode == 2:
            assert done.stderr.count("\n") >= 2, f"{what}: no remedy in {done.stderr!r}"
    assert outcomes[0] >= 3, outcomes
    assert outcomes[2] >= 10, outcomes
