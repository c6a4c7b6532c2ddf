"""How often the columns and the task of a table are found without being told.

    python benchmarks/detection/run.py --data DIR [--quick]

Makes variants of real tables (columns renamed, reordered, saved in other formats, with extra identifier, date,
free-text, address and leaky columns) and asks `profile` for each. A variant is *right* if target, inputs and task
are as expected, *asked* if it ends in one question or a refusal, *silently wrong* otherwise. Expected refusals
(nothing to learn, a numeric target) count as right when they are refused.

Writes results.json and table.md beside this file.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import json
import platform
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.detect import Unsure
from tunesmith.data.ingest import IngestOptions, profile

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One table and what should be found in it. target None: it should be refused or asked about."""

    name: str
    write: Callable[[Path], Path]
    target: str | None
    inputs: frozenset[str] = frozenset()
    task: str = "classify"
    left_out: frozenset[str] = frozenset()  # columns that must not be inputs


# -- sources ----------------------------------------------------------------------------------------------------


def read_csv(path: Path, **options: Any) -> Rows:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, **options))


def read_jsonl(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def some(rows: Rows, n: int, seed: int) -> Rows:
    return random.Random(seed).sample(rows, min(n, len(rows)))


# -- changes ----------------------------------------------------------------------------------------------------


def renamed(rows: Rows, names: dict[str, str]) -> Rows:
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


def reordered(rows: Rows, order: list[str]) -> Rows:
    return [{key: row[key] for key in order} for row in rows]


def with_id(rows: Rows, name: str = "id") -> Rows:
    return [{name: at + 1000, **row} for at, row in enumerate(rows)]


def with_uuid(rows: Rows, name: str = "uid") -> Rows:
    digests = [hashlib.md5(f"{name}{at}".encode()).hexdigest() for at in range(len(rows))]
    return [
        {**row, name: f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"} for row, d in zip(rows, digests, strict=True)
    ]


def with_date(rows: Rows, name: str = "created_at") -> Rows:
    start = datetime.datetime(2024, 1, 1)
    draw = random.Random(1)
    return [
        {**row, name: (start + datetime.timedelta(minutes=draw.randrange(500_000))).isoformat(sep=" ")} for row in rows
    ]


def with_choice(rows: Rows, name: str, values: list[str], seed: int = 2) -> Rows:
    draw = random.Random(seed)
    return [{**row, name: draw.choice(values)} for row in rows]


def with_url(rows: Rows, name: str = "url") -> Rows:
    return [{**row, name: f"https://example.com/items/{at * 7919 % 100_003}"} for at, row in enumerate(rows)]


def with_leak(rows: Rows, target: str, name: str) -> Rows:
    """A hash of the label, under a harmless name."""
    return [{**row, name: hashlib.sha1(str(row[target]).encode()).hexdigest()[:6]} for row in rows]


def with_telling_text(rows: Rows, target: str, name: str) -> Rows:
    draw = random.Random(5)
    openings = ["Case was filed under", "Our team put this into", "It was sorted as", "Someone marked it as"]
    closings = ["last week", "by the night shift", "after a short call", "and then closed"]
    return [
        {**row, name: f"{draw.choice(openings)} {row[target]} {draw.choice(closings)} {at}"}
        for at, row in enumerate(rows)
    ]


def with_telling_path(rows: Rows, target: str, name: str) -> Rows:
    return [{**row, name: f"data/{row[target]}/{at:05d}.txt"} for at, row in enumerate(rows)]


def with_free_text(rows: Rows, name: str, texts: list[str]) -> Rows:
    draw = random.Random(3)
    return [{**row, name: draw.choice(texts)} for row in rows]


# -- formats ----------------------------------------------------------------------------------------------------


def as_csv(
    rows: Rows, name: str = "table.csv", *, delimiter: str = ",", encoding: str = "utf-8", header: bool = True
) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        with path.open("w", encoding=encoding, newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter)
            if header:
                writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def as_json(rows: Rows) -> Callable[[Path], Path]:
    return _text("table.json", json.dumps(rows, ensure_ascii=False))


def as_jsonl(rows: Rows) -> Callable[[Path], Path]:
    return _text("table.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def as_columns(rows: Rows) -> Callable[[Path], Path]:
    return _text("table.json", json.dumps({key: [row[key] for row in rows] for key in rows[0]}))


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write


def as_parquet(rows: Rows) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), folder / "table.parquet")
        return folder / "table.parquet"

    return write


def as_xlsx(rows: Rows, *, title: bool = False) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from openpyxl import Workbook

        book = Workbook()
        sheet = book.active
        if title:
            sheet.append(["Export of 2024-05-01"])
            sheet.append([])
        sheet.append(list(rows[0]))
        for row in rows:
            sheet.append([value.replace("\x0b", " ") if isinstance(value, str) else value for value in row.values()])
        book.save(folder / "table.xlsx")
        return folder / "table.xlsx"

    return write


def as_folder(rows: Rows, text: str, target: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for at, row in enumerate(rows):
            place = folder / "texts" / str(row[target])
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{at}.txt").write_text(row[text], encoding="utf-8")
        return folder / "texts"

    return write


def as_zip(rows: Rows) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        import zipfile

        cut = len(rows) * 2 // 3
        as_csv(rows[:cut], "reviews_train.tsv", delimiter="\t")(folder)
        as_csv(rows[cut:], "reviews_test.tsv", delimiter="\t")(folder)
        with zipfile.ZipFile(folder / "reviews.zip", "w") as archive:
            for part in ("train", "test"):
                archive.write(folder / f"reviews_{part}.tsv", f"reviews_{part}.tsv")
        return folder / "reviews.zip"

    return write


# -- cases ------------------------------------------------------------------------------------------------------


def cases(data: Path) -> Iterator[Case]:
    bank = some(read_csv(data / "banking77" / "train.csv"), 6000, 1)
    sms = read_jsonl(data / "sms_spam" / "sms_spam.jsonl")
    plain_sms = [{"text": r["text"], "label": r["label"]} for r in sms]
    news = some(read_csv(data / "noisyag_news" / "samples10000valMed.csv"), 4000, 2)
    dialog = read_csv(data / "mts_dialog" / "MTS-Dialog-TrainingSet.csv")
    tldr = read_jsonl(data / "scitldr_a" / "dev.jsonl")
    tweets = {
        code: read_csv(data / "afrisenti" / code / "train.tsv", delimiter="\t", quoting=csv.QUOTE_NONE)
        for code in ("pcm", "por", "kin", "arq")
    }
    youtube = json.loads((data / "wrench_youtube" / "train.json").read_text(encoding="utf-8"))
    spare = [row["section_text"] for row in dialog if 20 < len(row["section_text"]) < 300]
    text, label = frozenset({"text"}), frozenset({"label"})
    people = ["Ana Lima", "Bo Ek", "Cy Roth", "Di Moss", "Ed Hale", "Flo Park"]

    yield Case("intents, as they are", as_csv(bank), "category", text)
    yield Case(
        "intents, renamed to words that say nothing",
        as_csv(renamed(bank, {"text": "a", "category": "b"})),
        "b",
        frozenset("a"),
    )
    yield Case(
        "intents, utterance and intent, label first",
        as_csv(reordered(renamed(bank, {"text": "utterance", "category": "intent"}), ["intent", "utterance"])),
        "intent",
        frozenset({"utterance"}),
    )
    yield Case(
        "intents, id and date and address",
        as_csv(with_url(with_date(with_id(bank)))),
        "category",
        text,
        left_out=frozenset({"id", "created_at", "url"}),
    )
    yield Case("intents, semicolons", as_csv(bank, delimiter=";"), "category", text)
    yield Case("intents, UTF-16", as_csv(bank, encoding="utf-16"), "category", text)
    yield Case(
        "intents, tab, no header",
        as_csv(bank, "table.tsv", delimiter="\t", header=False),
        "column_2",
        frozenset({"column_1"}),
    )
    yield Case(
        "intents, xlsx with a title above", as_xlsx(with_id(bank[:2500], "Ticket ID"), title=True), "category", text
    )
    yield Case("intents, parquet with uuid", as_parquet(with_uuid(bank)), "category", text)
    yield Case("intents, object of columns", as_columns(bank), "category", text)
    yield Case("intents as numbers", as_csv(_numbered(bank, "category", "label")), "label", text)
    yield Case(
        "intents and a hash of them",
        as_csv(with_leak(bank, "category", "queue_ref")),
        "category",
        text,
        left_out=frozenset({"queue_ref"}),
    )
    yield Case(
        "intents and their numbers",
        as_csv([{**r, "code": len(r["category"]) * 1000 + sum(map(ord, r["category"])) % 997} for r in bank]),
        "category",
        text,
        left_out=frozenset({"code"}),
    )
    yield Case(
        "intents and a text that names them",
        as_csv(with_telling_text(bank, "category", "remarks")),
        "category",
        text,
        left_out=frozenset({"remarks"}),
    )
    yield Case(
        "intents and a path that names them",
        as_csv(with_telling_path(bank, "category", "file")),
        "category",
        text,
        left_out=frozenset({"file"}),
    )
    yield Case(
        "tickets: id, agent, priority, language",
        as_csv(_tickets(bank, people)),
        "category",
        frozenset({"subject", "body"}),
        left_out=frozenset({"agent", "priority", "id", "created_at", "resolution"}),
    )
    yield Case(
        "tickets with a category of categories",
        as_jsonl([{**r, "group_name": r["category"].split("_")[0]} for r in _tickets(bank, people)]),
        "category",
        frozenset({"subject", "body"}),
    )
    yield Case("sms, with its split", as_jsonl(sms), "label", text, left_out=frozenset({"split"}))
    yield Case(
        "sms, latin-1",
        as_csv(
            [{k: v.encode("latin-1", "replace").decode("latin-1") for k, v in r.items()} for r in plain_sms],
            encoding="latin-1",
        ),
        "label",
        text,
    )
    yield Case("sms, no header", as_csv(plain_sms, header=False), "column_2", frozenset({"column_1"}))
    yield Case(
        "sms, renamed to msg and kind, reordered",
        as_json(reordered(renamed(plain_sms, {"text": "msg", "label": "kind"}), ["kind", "msg"])),
        "kind",
        frozenset({"msg"}),
    )
    yield Case(
        "sms, 0 and 1",
        as_csv([{"text": r["text"], "is_spam": int(r["label"] == "spam")} for r in sms]),
        "is_spam",
        text,
    )
    yield Case(
        "sms, true and false, nameless",
        as_parquet([{"x": r["text"], "y": r["label"] == "spam"} for r in sms]),
        "y",
        frozenset("x"),
    )
    yield Case(
        "sms, one folder per label",
        as_folder(plain_sms[:1500], "text", "label"),
        "label",
        text,
        left_out=frozenset({"file"}),
    )
    yield Case(
        "sms, with a random free text",
        as_csv(with_free_text(plain_sms, "notes_by_staff", spare)),
        "label",
        text,
        left_out=frozenset({"notes_by_staff"}),
    )
    yield Case(
        "sms, with random region and gender",
        as_csv(with_choice(with_choice(plain_sms, "region", ["north", "south", "east"]), "gender", ["f", "m"], 9)),
        "label",
        text,
    )
    yield Case("sms, zip of train and test", as_zip(plain_sms), "label", text)
    yield Case(
        "sms, nameless with a random column beside",
        as_csv(with_choice(renamed(plain_sms, {"text": "c1", "label": "c2"}), "c3", ["a", "b", "c"])),
        "c2",
        frozenset({"c1"}),
    )
    yield Case("news with noisy and true labels", as_csv(news), "label", text, left_out=frozenset({"gt"}))
    yield Case(
        "news, true label only, as topic",
        as_csv(renamed([{"text": r["text"], "gt": r["gt"]} for r in news], {"gt": "topic"})),
        "topic",
        text,
    )
    yield Case(
        "news, headline and body",
        as_csv(
            [
                {
                    "title": r["text"].split(" . ")[0][:120],
                    "body": r["text"],
                    "section": ["World", "Sports", "Business", "Tech"][int(r["gt"])],
                }
                for r in news
            ]
        ),
        "section",
        frozenset({"title", "body"}),
    )
    yield Case("reviews with stars", as_csv(_starred(tweets["por"])), "stars", frozenset({"review"}))
    yield Case("tweets, Pidgin", as_csv(tweets["pcm"], delimiter="\t", name="t.tsv"), "label", frozenset({"tweet"}))
    yield Case(
        "tweets, Kinyarwanda, renamed",
        as_jsonl(renamed(tweets["kin"], {"tweet": "message", "label": "sentiment"})),
        "sentiment",
        frozenset({"message"}),
    )
    yield Case(
        "tweets, Arabic script, with id",
        as_xlsx(with_id(renamed(tweets["arq"], {"tweet": "content", "label": "polarity"}))),
        "polarity",
        frozenset({"content"}),
    )
    yield Case(
        "comments, nested, by key",
        _text("youtube.json", json.dumps(youtube)),
        "label",
        frozenset({"data.text"}),
        left_out=frozenset({"weak_labels", "key"}),
    )
    yield Case(
        "note sections by header",
        as_csv([{"note": r["section_text"], "type": r["section_header"]} for r in dialog]),
        "type",
        frozenset({"note"}),
    )
    yield Case(
        "dialogue to note",
        as_csv([{"ID": r["ID"], "dialogue": r["dialogue"], "note": r["section_text"]} for r in dialog]),
        "note",
        frozenset({"dialogue"}),
        task="rewrite",
    )
    yield Case(
        "dialogue to summary, reordered, dated",
        as_jsonl(with_date([{"summary": r["section_text"], "transcript": r["dialogue"]} for r in dialog])),
        "summary",
        frozenset({"transcript"}),
        task="rewrite",
    )
    yield Case(
        "prompt and completion",
        as_jsonl([{"prompt": r["dialogue"], "completion": r["section_text"]} for r in dialog]),
        "completion",
        frozenset({"prompt"}),
        task="rewrite",
    )
    yield Case(
        "messages",
        as_jsonl(
            [
                {
                    "messages": [
                        {"role": "user", "content": r["dialogue"]},
                        {"role": "assistant", "content": r["section_text"]},
                    ]
                }
                for r in dialog
            ]
        ),
        "completion",
        frozenset({"prompt"}),
        task="rewrite",
    )
    yield Case(
        "alpaca",
        as_json(
            [{"instruction": "Write the note.", "input": r["dialogue"], "output": r["section_text"]} for r in dialog]
        ),
        "output",
        frozenset({"instruction", "input"}),
        task="rewrite",
    )
    yield Case(
        "sharegpt",
        as_json(
            [
                {
                    "id": str(at),
                    "conversations": [
                        {"from": "human", "value": r["dialogue"]},
                        {"from": "gpt", "value": r["section_text"]},
                    ],
                }
                for at, r in enumerate(dialog)
            ]
        ),
        "completion",
        frozenset({"prompt"}),
        task="rewrite",
    )
    yield Case("paper to its summary", as_jsonl(tldr), "target", frozenset({"source"}), task="rewrite")
    yield Case(
        "two texts without telling names",
        as_csv([{"c1": r["dialogue"], "c2": r["section_text"]} for r in dialog]),
        None,
    )
    yield Case(
        "two rival labels without telling names",
        as_csv([{"c1": r["text"], "c2": r["label"], "c3": r["gt"]} for r in news]),
        None,
    )
    yield Case("a measurement as the only answer", data_file(data / "vader_sentiment" / "tweets_GroundTruth.txt"), None)
    yield Case("texts and numbers only", data_file(data / "patent_claims" / "single_claim.tsv"), None)
    del label


def data_file(path: Path) -> Callable[[Path], Path]:
    return lambda _: path


def _numbered(rows: Rows, target: str, name: str) -> Rows:
    names = sorted({row[target] for row in rows})
    return [{"text": row["text"], name: names.index(row[target])} for row in rows]


def _tickets(rows: Rows, people: list[str]) -> Rows:
    draw = random.Random(8)
    replies = [
        "We have sent a new one.",
        "Closed after a call.",
        "The customer was told how to do it.",
        "Passed on to the second line.",
    ]
    return [
        {
            "id": f"T-{at:06d}",
            "created_at": f"2024-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}T10:00:00",
            "agent": draw.choice(people),
            "priority": draw.choice(["low", "medium", "high"]),
            "subject": " ".join(row["text"].split()[:5]),
            "body": row["text"],
            "category": row["category"],
            "resolution": f"{draw.choice(replies)} Ref {draw.randrange(10**6)}.",
        }
        for at, row in enumerate(rows)
    ]


def _starred(rows: Rows) -> Rows:
    draw = random.Random(4)
    stars = {"negative": [1, 2], "neutral": [3], "positive": [4, 5]}
    return [
        {
            "product_id": f"B{draw.randrange(10**8):08d}",
            "review": row["tweet"],
            "stars": draw.choice(stars[row["label"]]),
            "helpful_votes": draw.randrange(40),
        }
        for row in rows
    ]


# -- judging ----------------------------------------------------------------------------------------------------


def judge(case: Case, folder: Path) -> tuple[str, str]:
    """("right" | "asked" | "silently wrong", what was found)."""
    try:
        found = profile(IngestOptions(path=case.write(folder))).options
    except Unsure as question:
        return (
            "right" if case.target is None else "asked"
        ), f"asked: {question.question} {', '.join(question.choices[:4])}"
    except DataError as error:
        return ("right" if case.target is None else "asked"), f"refused: {error.message}"
    inputs = set(found.inputs)
    what = f"{', '.join(found.inputs)} → {found.target} ({found.task})"
    good = (
        found.target == case.target and found.task == case.task and case.inputs == inputs and not inputs & case.left_out
    )
    return ("right" if good else "silently wrong"), what


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=here.parents[2] / "shared" / "data", help="folder of the shared real data"
    )
    parser.add_argument("--quick", action="store_true", help="every third table")
    parser.add_argument("--only", help="only tables whose name holds this")
    options = parser.parse_args()
    chosen = [
        c
        for at, c in enumerate(cases(options.data))
        if (not options.quick or at % 3 == 0) and (options.only or "") in c.name
    ]
    rows = []
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            verdict, what = judge(case, Path(folder))
        rows.append((case.name, verdict, what))
        print(f"{verdict:15} {case.name}: {what}"[:200], flush=True)
    if options.quick or options.only:
        return
    n = len(rows)
    right = sum(v == "right" for _, v, _ in rows)
    wrong = sum(v == "silently wrong" for _, v, _ in rows)
    common = {
        "interval": None, "peer": None, "peer_value": None, "n": n, "seeds": 1,
        "machine": f"{platform.machine()}, CPU only",
        "date": datetime.date.today().isoformat(), "command": "python benchmarks/detection/run.py --data DIR",
    }  # fmt: skip
    results = [
        {
            "measure": "tables whose target, inputs and task are found",
            "value": round(right / n, 4),
            "unit": "share",
            "bar": ">= 0.90",
            "met": right / n >= 0.9,
            **common,
        },
        {
            "measure": "tables silently wrong",
            "value": wrong,
            "unit": "tables",
            "bar": "= 0",
            "met": wrong == 0,
            **common,
        },
        {
            "measure": "tables that end in a question where an answer was expected",
            "value": n - right - wrong,
            "unit": "tables",
            "bar": None,
            "met": None,
            **common,
        },
    ]
    (here / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = [
        "| table | verdict | found |",
        "|---|---|---|",
        *(f"| {a} | {b} | {c[:160].replace('|', '/')} |" for a, b, c in rows),
    ]
    (here / "table.md").write_text(
        f"{right} of {n} right, {n - right - wrong} asked or refused, {wrong} silently wrong.\n\n"
        + "\n".join(lines)
        + "\n",
        encoding="utf-8",
    )
    print(f"{right} of {n} right, {n - right - wrong} asked, {wrong} silently wrong")


if __name__ == "__main__":
    main()
