"""Numbers, rungs and claims in the words that a person reads: one place, so page and terminal agree.

Every function takes None for "not measured" and says so; none of them invents a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

ABSENT = "not recorded"
# Number and unit stay on one line.
_NBSP = "\u00a0"


@dataclass(frozen=True)
class Metric:
    """How a metric is spoken of. percent: shown times 100 with a % sign. better: "higher", "lower" or ""."""

    title: str
    plain: str
    percent: bool = True
    better: str = "higher"


METRICS = {
    "accuracy": Metric("Accuracy", "the share of rows answered correctly"),
    "macro_f1": Metric(
        "Macro-F1",
        "how well each label is found without false alarms, averaged so that rare labels count as much as common ones",
    ),
    "weighted_f1": Metric("Weighted F1", "the F1 of each label, averaged by how often the label occurs"),
    "micro_f1": Metric(
        "Micro-F1",
        "how many of the labels that are due are given, without others being given, counted over all rows together",
    ),
    "set_f1": Metric("F1 per row", "the F1 of each row's labels, averaged over the rows"),
    "subset_accuracy": Metric("Whole set right", "the share of rows in which every label is right and none is missing"),
    "f1": Metric("F1", "the balance of finding what is there and not claiming what is not"),
    "balanced_accuracy": Metric("Balanced accuracy", "the share answered correctly, averaged over the labels"),
    "precision": Metric("Precision", "of the times this answer was given, how often it was right"),
    "recall": Metric("Recall", "of the times this answer was due, how often it was given"),
    "field_f1": Metric(
        "Field F1", "how many of the fields are found with the right value, without others being claimed"
    ),
    "field_precision": Metric("Field precision", "of the fields that were given, how many have the right value"),
    "field_recall": Metric("Field recall", "of the fields that are there, how many were given with the right value"),
    "row_f1": Metric("Field F1 per row", "Field F1 of each row, averaged over the rows"),
    "exact": Metric("Whole answer right", "the share of rows in which every field is right, letter by letter"),
    "valid": Metric("Valid answers", "the share of answers that obey the schema"),
    "exact_match": Metric("Exact match", "the share of answers equal to the reference"),
    "recall_at_5": Metric(
        "Recall at 5", "of the passages that answer a question, the share that is among the first five found"
    ),
    "recall_at_1": Metric(
        "Recall at 1", "of the passages that answer a question, the share that is found first: with several, below 1"
    ),
    "mrr": Metric("Reciprocal rank", "one over the place of the first passage that answers; 0 if none was found"),
    "answered": Metric("Answered", "the share of questions for which a passage is cited; of the others it abstains"),
    "citation_precision": Metric("Citations right", "of the passages cited, the share that does answer the question"),
    "fact_f1": Metric(
        "Fact F1",
        "how many of the facts in the reference (numbers with units, names, dates, key terms, negations) the answer "
        "states, without stating others",
    ),
    "unsupported_rate": Metric(
        "Unsupported facts", "the share of facts in the answers that their source does not contain", better="lower"
    ),
    "unsupported_numbers": Metric(
        "Unsupported numbers", "the share of numbers in the answers that their source does not contain", better="lower"
    ),
    "rouge_l": Metric("ROUGE-L", "the overlap of word order with the reference"),
    "rouge1": Metric("ROUGE-1", "the overlap of words with the reference"),
    "rouge2": Metric("ROUGE-2", "the overlap of word pairs with the reference"),
    "length_ratio": Metric("Length ratio", "length of the answer divided by that of the reference", False, ""),
    "length": Metric("Length", "words in an answer", False, ""),
    "style_distance": Metric("Style distance", "how unlike the references the answers are written", False, "lower"),
    "unparsed": Metric("No usable answer", "the share of rows without an answer that could be read", better="lower"),
    "ece": Metric("Calibration error", "how far stated confidence lies from the share that was right", better="lower"),
    "brier": Metric("Brier score", "squared error of the stated probabilities", False, "lower"),
    "log_loss": Metric("Log loss", "surprise at the true answers, in nats", False, "lower"),
}

_FRACTIONS = re.compile(r"(^|_)(f1|accuracy|precision|recall|rate|share|match|rouge\w*|auc)($|_)")


def metric(name: str) -> Metric:
    """How to speak of a metric; an unknown one keeps its name."""
    if name in METRICS:
        return METRICS[name]
    return Metric(humanize(name), "", bool(_FRACTIONS.search(name.lower())), "")


def within(title: str) -> str:
    """A title within a sentence: "macro-F1" of "Macro-F1"; a short form keeps its capitals."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


@dataclass(frozen=True)
class RungWords:
    """title: a few words. plain: one sentence for somebody who is not an engineer."""

    title: str
    plain: str


RUNGS = {
    "majority": RungWords("Most common answer", "Always gives the most common answer. Anything useful must beat this."),
    "tfidf": RungWords("Word counts + linear", "Counts words and letter groups and weighs them. No neural network."),
    "frozen": RungWords(
        "Frozen encoder + linear",
        "A ready-made language model turns each text into numbers; only a light layer learns.",
    ),
    "fusion": RungWords("Word counts + frozen encoder", "Averages the opinions of the two systems named."),
    "encoder": RungWords("Tuned encoder", "A small language model whose inner weights were adapted to this data."),
    "contrastive": RungWords(
        "Contrastively tuned encoder", "A small language model taught which of your texts belong together."
    ),
    "zero_shot": RungWords("Base model, asked directly", "A general language model, asked without any example."),
    "few_shot": RungWords(
        "Base model with examples", "A general language model, shown a few examples with each question."
    ),
    "lm": RungWords("Tuned language model", "A general language model whose weights were adapted to this data."),
    "lm_domain": RungWords(
        "Tuned language model that read your documents",
        "A general language model that first read the documents you gave, and was then adapted to this data.",
    ),
    "commonest": RungWords(
        "Most common answer", "Gives the answer that most rows have. Anything useful must beat this."
    ),
    "pattern": RungWords(
        "Patterns and known values",
        "Rules that your rows confirm: forms of numbers and addresses, and values that were seen before.",
    ),
    "tagger": RungWords(
        "Tuned tagger", "A small language model that learned to say what every word of a text is part of."
    ),
    "frequent": RungWords(
        "Most common answer", "Gives the answer that most rows have. Anything useful must beat this."
    ),
    "nearest": RungWords("Nearest example", "Answers as the most similar row of the training data was answered."),
    "tfidf_tags": RungWords(
        "Word counts, label by label",
        "Counts words and letter groups and weighs them for each label. No neural network.",
    ),
    "frozen_tags": RungWords(
        "Frozen encoder, label by label",
        "A ready-made language model turns each text into numbers; only a light layer per label learns.",
    ),
    "fusion_tags": RungWords(
        "Word counts + frozen encoder, label by label", "Adds up the opinions of the two systems named, label by label."
    ),
    "encoder_tags": RungWords(
        "Tuned encoder, label by label", "A small language model whose inner weights were adapted to these labels."
    ),
    "lead": RungWords("First sentences", "Copies the beginning of the input. Anything useful must beat this."),
    "copy": RungWords("Copy of the input", "Gives the input back. Anything useful must beat this."),
}

_ALIASES = {
    "encoder_lora": "encoder",
    "lm_lora": "lm",
    "copy_lead": "lead",
    "tf_idf": "tfidf",
    "frozen_encoder": "frozen",
}


def rung(name: str) -> RungWords:
    """The words for a rung; an unknown one keeps its name."""
    key = name.lower().replace("-", "_")
    return RUNGS.get(_ALIASES.get(key, key), RungWords(humanize(name), ""))


@dataclass(frozen=True)
class ClaimWords:
    """tone: good, calm, warn or bad, never the only carrier of meaning. headline: what to do. plain: a sentence why."""

    tone: str
    icon: str
    headline: str
    plain: str


def claim(words: str | None, *, candidate: bool = True, harmed: str = "", shown: bool = False) -> ClaimWords:
    """How to speak of a verdict's claim.

    candidate: whether any rung that tunes weights was in the comparison. harmed: name of a metric in which the
    candidate must be no worse and is not shown to be, where that alone kept the claim from "better".
    shown: the harm itself is significant.
    """
    said = (words or "").strip().lower()
    if harmed and shown:
        return ClaimWords(
            "warn",
            "equal",
            "Keep the untuned system",
            f"The tuned system scores higher, but it is worse in one thing that must not get worse: {harmed.lower()}. "
            "So it is not called better, and the system that was not tuned ships.",
        )
    if harmed:
        return ClaimWords(
            "warn",
            "question",
            "Keep the untuned system for now",
            f"The tuned system scores higher, but this test is too small to show that it is no worse in "
            f"{harmed.lower()}. Until it is shown, the system that was not tuned ships.",
        )
    if said.startswith("better"):
        return ClaimWords(
            "good",
            "up",
            "Ship the tuned system",
            "On rows that nothing had learned from, the tuned system beat the best system that was not tuned, and by "
            "more than chance explains.",
        )
    if said.startswith("worse"):
        return ClaimWords(
            "bad",
            "down",
            "Keep the untuned system",
            "The best system that was not tuned did better, and by more than chance explains. It is what ships.",
        )
    if said.startswith("no evidence"):
        return ClaimWords(
            "calm",
            "equal",
            "Keep the untuned system",
            "The test was large enough to show a difference of two points and found none. The system that was not "
            "tuned ships, because nothing shows that tuning earns its cost.",
        )
    if said.startswith("underpowered"):
        return ClaimWords(
            "warn",
            "question",
            "Keep the untuned system for now",
            "A real difference may be there, but this test is too small to show it. Until there are more labelled "
            "rows, the system that was not tuned ships.",
        )
    if not candidate:
        return ClaimWords(
            "calm",
            "equal",
            "Nothing was tuned",
            "There is no tuned system to compare with. What ships is the best of the systems that were not tuned.",
        )
    return ClaimWords("warn", "question", "No verdict recorded", "This report holds no comparison that could be read.")


def unbroken(sentence: str) -> str:
    """A sentence whose numbers stay on one line with their sign."""
    return re.sub(r"(?<=\d) (?=%)", _NBSP, sentence)


def brief(words: str) -> str:
    """The words with long hexadecimal hashes cut to twelve digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", "\\1…", words)


def base(uri: str) -> str:
    """The name in a model's uri: all-minilm-l6-v2 of wheel:all-minilm-l6-v2@53aa51172d14."""
    return re.sub(r"@[0-9a-f]{7,}$", "", uri).removeprefix("wheel:").removeprefix("hub:")


STATUS = {"full": "all rows", "subset": "subset", "not run": "not run"}


def humanize(name: str) -> str:
    """`label_counts` as "Label counts"."""
    words = re.sub(r"[_\s]+", " ", name).strip()
    return words[:1].upper() + words[1:] if words else ""


def percent(value: float | None, digits: int = 1) -> str:
    """0.942 as "94.2 %"."""
    return ABSENT if value is None else f"{value * 100:.{digits}f}{_NBSP}%"


def plain(value: float | None) -> str:
    """A number with as many digits as it deserves: 3,080; 12.4; 0.0831."""
    if value is None:
        return ABSENT
    if value == 0 or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        return f"{value:.2g}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:,.{min(digits, 5)}f}"


def score(value: float | None, name: str) -> str:
    """A score in the unit of its metric."""
    return percent(value) if metric(name).percent else plain(value)


def interval(low: float | None, high: float | None, name: str) -> str:
    """The two ends with a dash between, in the unit of the metric, without the sign; a minus inside is spelled "to"."""
    if low is None or high is None:
        return ABSENT
    a, b = (f"{v * 100:.1f}" if metric(name).percent else plain(v) for v in (low, high))
    joined = f"{a} to {b}" if "-" in a + b else f"{a}\u2013{b}"
    return joined.replace("-", "\u2212")


def points(difference: float | None, name: str) -> str:
    """+0.9 points (or the metric's own unit), with a true minus sign."""
    if difference is None:
        return ABSENT
    if metric(name).percent:
        return f"{difference * 100:+.1f}{_NBSP}points".replace("-", "\u2212")
    return (f"+{plain(difference)}" if difference > 0 else plain(difference)).replace("-", "\u2212")


def p_value(p: float | None) -> str:
    """p as people write it."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def size(n_bytes: float | None) -> str:
    """Bytes with a binary unit: 90.9 MiB."""
    if n_bytes is None:
        return ABSENT
    amount = float(n_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1024 or unit == "TiB":
            return f"{amount:,.0f}{_NBSP}{unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f}{_NBSP}{unit}"
        amount /= 1024
    raise AssertionError("unreachable: the last unit returns")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: 0.4 ms, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return ABSENT
    if seconds <= 0:
        return f"0{_NBSP}s"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f}{_NBSP}µs" if seconds >= 1e-6 else f"< 1{_NBSP}µs"
    if seconds < 1:
        ms = seconds * 1e3
        return f"{ms:.1f}{_NBSP}ms" if ms < 10 else f"{ms:.0f}{_NBSP}ms"
    if seconds < 60:
        return f"{seconds:.1f}{_NBSP}s" if seconds < 10 else f"{seconds:.0f}{_NBSP}s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 48:
        return f"{hours / 24:.1f}{_NBSP}days"
    if hours:
        return f"{hours}{_NBSP}h {minutes}{_NBSP}min" if minutes else f"{hours}{_NBSP}h"
    return f"{minutes}{_NBSP}min {left}{_NBSP}s" if left else f"{minutes}{_NBSP}min"


def count(n: float | None, noun: str = "") -> str:
    """1,203 rows; 1 row."""
    if n is None:
        return ABSENT
    said = f"{n:,.0f}"
    if not noun:
        return said
    return f"{said}{_NBSP}{noun if n == 1 else noun + 's'}"


def ratio(value: float | None, base: float | None) -> str:
    """How many times `base` fits in `value`, in words: 12 times more, 3 times less, "" where nobody can say."""
    if not value or not base or value < 0 or base < 0:
        return ""
    times = value / base
    if 0.95 <= times <= 1.05:
        return "the same"
    more, times = times > 1, max(times, 1 / times)
    if times > 10_000:
        return "far more" if more else "far less"
    said = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    return f"{said}\u00d7 {'more' if more else 'less'}"
