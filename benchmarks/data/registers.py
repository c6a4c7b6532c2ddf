"""Plants texts of another manner among the answers of a table: other genres, and the same answers rewritten by rule.

Nothing here is shared with what looks for them: the rules and words below are the planter's own.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path


def mts_dialog(shared: Path, parts: Sequence[str]) -> list[dict[str, str]]:
    """Rows with `dialogue` and `section_text` of the files whose names hold one of `parts`, in order of the names."""
    rows: list[dict[str, str]] = []
    for path in sorted((shared / "mts_dialog").glob("*.csv")):
        if any(part in path.name for part in parts):
            with path.open(encoding="utf-8", newline="") as handle:
                rows += [
                    {"dialogue": row["dialogue"].strip(), "answer": " ".join(row["section_text"].split())}
                    for row in csv.DictReader(handle)
                ]
    return [row for row in rows if row["answer"]]


def other_genres(shared: Path) -> dict[str, list[str]]:
    """Texts of other genres by name."""
    with (shared / "noisyag_news" / "samples10000valMed.csv").open(encoding="utf-8", newline="") as handle:
        news = [row["text"].replace("\\$", "$").replace(" #39;", "'") for row in csv.DictReader(handle)]
    sms = [json.loads(line)["text"] for line in (shared / "sms_spam" / "sms_spam.jsonl").open(encoding="utf-8")]
    with (shared / "banking77" / "train.csv").open(encoding="utf-8", newline="") as handle:
        bank = [row["text"] for row in csv.DictReader(handle)]
    films = [
        line.rstrip("\n").split("\t")[2]
        for line in (shared / "vader_sentiment" / "movieReviewSnippets_GroundTruth.txt").open(encoding="utf-8")
    ]
    return {"news": news, "text messages": sms, "bank questions": bank, "film reviews": films}


def capitals(text: str, _: random.Random) -> str:
    """Shouted."""
    return text.upper()


_OPENERS = ("so yeah, ", "ok so basically ", "hey! ", "well you know, ", "lol ok, ", "alright so ", "hiya, ")
_CLOSERS = (" lol", " haha", " :)", ", you know?", " or whatever!!", ", cheers!", " tbh")


def chatty(text: str, rng: random.Random) -> str:
    """As a friend would type it: an opener, a closer, small letters, short forms."""
    for long, short in (("is not", "isn't"), ("does not", "doesn't"), ("has been", "'s been"), ("The patient", "they"),
                        ("patient", "person"), ("and", "n"), (" for ", " 4 "), ("history of", "had")):  # fmt: skip
        text = text.replace(long, short)
    return rng.choice(_OPENERS) + text.rstrip(". ").lower() + rng.choice(_CLOSERS)


_FIRST_PERSON = (
    (r"\b(?:the|this) patient(?:'s)? (?=\w+s\b)", "I "), (r"\b(?:the|this) patient\b", "I"), (r"\b(?:he|she)\b", "I"),
    (r"\b(?:his|her)\b", "my"), (r"\bhim\b", "me"), (r"\bI is\b", "I am"), (r"\bI has\b", "I have"),
    (r"\bI denies\b", "I deny"), (r"\bI states\b", "I say"), (r"\bI reports\b", "I report"), (r"\bI does\b", "I do"),
)  # fmt: skip


def first_person(text: str, _: random.Random) -> str:
    """Told by the patient: I, my, me. Unchanged where nobody is spoken of."""
    for pattern, instead in _FIRST_PERSON:
        text = re.sub(pattern, instead, text, flags=re.IGNORECASE)
    return text


_TENSES = {"is": "was", "are": "were", "has": "had", "have": "had", "denies": "denied", "does": "did", "was": "is",
           "were": "are", "had": "has", "did": "does", "denied": "denies", "presents": "presented", "takes": "took",
           "presented": "presents", "reports": "reported", "reported": "reports", "states": "stated",
           "stated": "states", "complains": "complained", "lives": "lived", "smokes": "smoked"}  # fmt: skip


def future(text: str, _: random.Random) -> str:
    """Told of the time to come: will be, will have. Unchanged where no verb of the list stands."""
    for word, past in (("is", "be"), ("are", "be"), ("was", "be"), ("were", "be"), ("has", "have"), ("had", "have"),
                       ("denies", "deny"), ("denied", "deny")):  # fmt: skip
        text = re.sub(rf"\b{word}\b", f"will {past}", text)
        text = text.replace("will have will be", "will have been")
    return text


def other_tense(text: str, _: random.Random) -> str:
    """Present for past and past for present."""
    return re.sub(r"\b[a-z]+\b", lambda m: _TENSES.get(m[0], m[0]), text)


REWRITES: dict[str, Callable[[str, random.Random], str]] = {
    "all capitals": capitals, "chatty rewrite": chatty, "first person": first_person, "future tense": future,
    "tense changed over": other_tense,
}  # fmt: skip


def spoken(row: dict[str, str], rng: random.Random) -> str:
    """A stretch of the row's own dialogue in place of the note: two to four turns as they stand."""
    turns = [turn.strip() for turn in row["dialogue"].splitlines() if turn.strip()]
    n = min(len(turns), rng.randint(2, 4))
    start = rng.randint(0, len(turns) - n)
    return " ".join(turns[start : start + n])


def patient_words(row: dict[str, str], rng: random.Random) -> str:
    """What the patient said, without the speaker's name."""
    said = [turn.partition(":")[2].strip() for turn in row["dialogue"].splitlines() if turn.startswith("Patient:")]
    said = [turn for turn in said if len(turn.split()) >= 3]
    if not said:
        return row["answer"]
    start = rng.randrange(len(said))
    return " ".join(said[start : start + 2])


def plant(rows: list[dict[str, str]], kind: str, *, share: float, genres: dict[str, list[str]], seed: int) -> list[int]:
    """Changes the answers of a share of the rows to `kind`, in place; which. Only rows that the kind can change."""
    rng = random.Random(f"{kind}-{seed}")
    order = list(range(len(rows)))
    rng.shuffle(order)
    changed: list[int] = []
    for at in order:
        if len(changed) >= max(2, round(share * len(rows))):
            break
        before = rows[at]["answer"]
        if kind in genres:
            after = rng.choice(genres[kind])
        elif kind == "dialogue":
            after = spoken(rows[at], rng)
        elif kind == "patient's words":
            after = patient_words(rows[at], rng)
        else:
            after = REWRITES[kind](before, rng)
        after = " ".join(after.split())
        if after and after != before:
            rows[at]["answer"] = after
            changed.append(at)
    return sorted(changed)
