"""TEST FIXTURE. Made-up reports over made-up data (a broadband company that does not exist).

No number here was measured and no text was written by a customer. The shapes are those of report.json and its
`details`, from the plainest to the nastiest that the page must survive.
"""

from __future__ import annotations

import copy
import math
from typing import Any

LABELS = ("billing", "outage", "slow line", "moving house", "cancel", "hardware", "other")

_TEXTS = (
    ("The router blinks orange since the storm and nothing loads.", "outage", "hardware", 0.91),
    ("I was charged twice in March, please send the second amount back.", "billing", "cancel", 0.84),
    ("We are leaving the flat in June, what happens to the contract?", "moving house", "cancel", 0.79),
    ("Evenings are unusable, video stops every few minutes.", "slow line", "outage", 0.77),
    ("Is the new box compatible with the old telephone?", "hardware", "other", 0.71),
    ("Thanks for the quick help yesterday!", "other", "billing", 0.66),
    ("Your letter says the price goes up, then I would rather stop.", "cancel", "billing", 0.64),
    ("No signal in the whole street, neighbours say the same.", "outage", "slow line", 0.61),
    ("Please change the name on the invoice after our wedding.", "billing", "other", 0.58),
    ("Upload is fine, download crawls.", "slow line", "hardware", 0.55),
)


_CALL = (
    "Agent: how can I help?\nCaller: the line dropped on Tuesday at 9 and has not come back.\n"
    "Agent: I can send a technician on Friday between 8 and 12.\nCaller: Friday is fine. "
)


def _interval(value: float, n: int) -> list[float]:
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return [round(max(value - half, 0.0), 4), round(min(value + half, 1.0), 4)]


def _score(value: float, n: int) -> dict[str, Any]:
    return {"value": value, "interval": _interval(value, n), "n": n}


def _system(
    name: str,
    kind: str,
    status: str,
    value: float | None,
    cost: tuple[float | None, ...],
    *,
    n: int = 1840,
    base: str | None = None,
    method: str | None = None,
    second: str = "accuracy",
    lead: str = "macro_f1",
) -> dict[str, Any]:
    scores = {} if value is None else {lead: _score(value, n), second: _score(min(value + 0.013, 0.999), n)}
    keys = ("train_cpu_s", "train_wall_s", "peak_rss_bytes", "stored_bytes", "predict_cpu_s_per_example")
    return {
        "name": name,
        "kind": kind,
        "base": base,
        "method": method,
        "status": status,
        "n": 0 if value is None else n,
        "scores": scores,
        "cost": dict(zip(keys, cost, strict=True)),
    }


def _curve(steps: int, start: float, end: float, first: float, best: float) -> list[dict[str, float | None]]:
    made: list[dict[str, float | None]] = []
    for k in range(0, steps + 1, max(steps // 40, 1)):
        t = k / steps
        loss = end + (start - end) * math.exp(-5 * t) + 0.02 * math.sin(k * 1.7)
        dev = (
            first + (best - first) * (1 - math.exp(-6 * t)) - 0.01 * max(t - 0.7, 0)
            if (k // max(steps // 40, 1)) % 5 == 0
            else None
        )
        made.append({"step": k, "loss": round(loss, 4), "dev": None if dev is None else round(dev, 4)})
    return made


def _disturbed(name: str, changed: int, before: float, after: float) -> dict[str, Any]:
    gap = after - before
    flipped = round(abs(gap) * 300)
    more = {"difference": gap, "interval": [gap - 0.03, gap + 0.03], "flipped": flipped}
    return {"name": name, "n": 240, "changed": changed, "before": before, "after": after, **more}


def _promise(
    target: float, threshold: float, sent: float, right: float, test_sent: float, test_right: float, state: str
) -> dict[str, Any]:
    return {
        "target": target,
        "threshold": threshold,
        "sent": sent,
        "right": right,
        "test_sent": test_sent,
        "test_right": test_right,
        "interval": _interval(test_right, 1500),
        "n": 1500,
        "state": state,
    }


_MB = 1_000_000

_CHECKS: list[dict[str, Any]] = [
    {"name": "rows with no supervised token", "value": 0, "bound": "= 0", "passed": True, "system": "lm"},
    {
        "name": "answer tokens lost to truncation",
        "value": 0,
        "bound": "counted and shown",
        "passed": True,
        "system": "lm",
    },
    {"name": "template bytes equal at training and prediction", "value": "equal", "bound": "equal", "passed": True},
    {
        "name": "special tokens and end of answer learned",
        "value": 1.0,
        "bound": ">= 0.99",
        "passed": True,
        "system": "lm",
    },
    {
        "name": "adapter finite and moved from its start",
        "value": 0.183,
        "bound": "> 0",
        "passed": True,
        "system": "encoder",
    },
    {"name": "loss of an untrained adapter equals the base", "value": 2e-7, "bound": "<= 1e-05", "passed": True},
    {"name": "merged equals adapter", "value": 0.00031, "bound": "<= 0.001", "passed": True, "system": "encoder"},
    {"name": "saved and reloaded equals in memory", "value": 0.0, "bound": "<= 1e-06", "passed": True},
    {"name": "dev and test disjoint after normalisation", "value": 0, "bound": "= 0", "passed": True},
    {"name": "predictions reproducible in a fresh process", "value": 64, "bound": "= 64 of 64", "passed": True},
    {
        "name": "context window respected",
        "value": None,
        "bound": "<= 512 tokens",
        "passed": None,
        "remedy": "no text of this table is longer than the window",
    },
]


def _checks() -> list[dict[str, Any]]:
    return [{"remedy": "", "system": None, **row, "applies": row["passed"] is not None} for row in _CHECKS]


def classify() -> dict[str, Any]:
    """A tuned encoder beats the fusion; every part of the report is there."""
    n = 1840
    systems = [
        _system(
            "encoder",
            "tuned",
            "full",
            0.9421,
            (1385.2, 702.6, 1490 * _MB, 96 * _MB, 0.0112),
            base="all-minilm-l6-v2",
            method="lora",
        ),
        _system(
            "fusion", "untuned", "full", 0.9276, (88.4, 61.2, 910 * _MB, 14 * _MB, 0.0071), base="all-minilm-l6-v2"
        ),
        _system("frozen", "untuned", "full", 0.9187, (61.0, 44.9, 870 * _MB, 2 * _MB, 0.0068), base="all-minilm-l6-v2"),
        _system("tfidf", "untuned", "full", 0.8934, (19.3, 14.1, 410 * _MB, 12 * _MB, 0.00021)),
        _system(
            "lm",
            "tuned",
            "subset",
            0.8841,
            (1610.0, 820.0, 2910 * _MB, 21 * _MB, 0.61),
            n=300,
            base="smollm2-135m-instruct",
            method="lora",
        ),
        _system(
            "few_shot", "untuned", "subset", 0.512, (0.0, 0.0, 1330 * _MB, 0, 1.24), n=300, base="smollm2-135m-instruct"
        ),
        _system(
            "zero_shot",
            "untuned",
            "subset",
            0.3377,
            (0.0, 0.0, 1290 * _MB, 0, 0.43),
            n=300,
            base="smollm2-135m-instruct",
        ),
        _system("majority", "untuned", "full", 0.0561, (0.01, 0.01, 190 * _MB, 412, 0.0000012)),
        _system("contrastive", "tuned", "not run", None, (None,) * 5, base="all-minilm-l6-v2", method="contrastive"),
    ]
    why_not = "not run: needs about 3 h of the 20 min budget; it pays below 50 rows per label and here are 1,300"
    rungs: dict[str, dict[str, Any]] = {
        row["name"]: {
            "dev": row["scores"]["macro_f1"]["value"] + 0.004,
            "interval": _interval(row["scores"]["macro_f1"]["value"] + 0.004, 1500),
            "n": 1500,
            "how": "dev",
            "why": "",
            "status": row["status"],
            "curve": [],
            "train_rows": 9200,
        }
        for row in systems
        if row["scores"]
    }
    rungs["contrastive"] = {"dev": None, "interval": None, "n": 0, "why": why_not, "status": "not run", "curve": []}
    rungs["encoder"]["curve"] = _curve(1150, 1.93, 0.21, 0.41, 0.944)
    rungs["lm"] |= {
        "curve": _curve(320, 2.6, 0.34, 0.35, 0.889),
        "train_rows": 2560,
        "why": "scored on 300 of 1,840 test rows, sized to the budget",
    }
    for name in ("few_shot", "zero_shot"):
        rungs[name]["why"] = "scored on 300 of 1,840 test rows, sized to the budget"
    return {
        "version": 1,
        "task": "classify",
        "leads": "macro_f1",
        "data": {"rows": 12746, "train": 9200, "dev": 1500, "test": n, "fingerprint": "5d0c9c2e41f7a3b8"},
        "verdict": {
            "winner": "encoder",
            "against": "fusion",
            "claim": "better",
            "difference": 0.0145,
            "interval": [0.0061, 0.0229],
            "p_value": 0.0007,
            "n": n,
            "sentence": "The tuned encoder is better than the best untuned system: 94.2 % against 92.8 % macro-F1 on "
            "1,840 unseen rows, a gain of 1.5 points.",
        },
        "comparisons": [
            {
                "a": "encoder",
                "b": b,
                "metric": "macro_f1",
                "difference": d,
                "interval": [d - 0.0084, d + 0.0084],
                "p_value": p,
                "p_adjusted": q,
                "test": "paired permutation",
                "n": m,
            }
            for b, d, p, q, m in (
                ("fusion", 0.0145, 0.0007, 0.0007, n),
                ("frozen", 0.0234, 0.0001, 0.0004, n),
                ("tfidf", 0.0487, 0.0001, 0.0004, n),
                ("lm", 0.0561, 0.0001, 0.0004, 300),
            )
        ],
        "systems": systems,
        "checks": _checks(),
        "decisions": [
            {
                "what": "task",
                "choice": "classify",
                "why": "the column 'category' holds 7 short values that repeat (confidence 0.99)",
            },
            {
                "what": "target",
                "choice": "category",
                "why": "the only column with few distinct values that the texts can predict",
            },
            {
                "what": "inputs",
                "choice": ["subject", "message"],
                "why": "two text columns of different length; both help on dev",
            },
            {
                "what": "split",
                "choice": "72 / 12 / 16",
                "why": "no ready-made test file; stratified by category, near-duplicates kept together",
            },
            {
                "what": "encoder",
                "choice": "all-minilm-l6-v2",
                "why": "at hand on this machine; texts are English and 34 words long at the median",
            },
            {"what": "contrastive", "choice": "not run", "why": "forecast of 3 h exceeds a quarter of the budget"},
            {
                "what": "dtype",
                "choice": "float32",
                "why": "bfloat16 was 1.4 times slower in a one-second probe on this processor",
            },
        ],
        "details": {
            "title": "tickets.csv: category",
            "run": "runs/tickets",
            "created": "2026-03-04T09:12:44+00:00",
            "version": "0.1.0",
            "machine": {
                "cpu": "an example processor",
                "cores": 2,
                "threads": 2,
                "memory_bytes": 8 * 1024**3,
                "device": "cpu",
                "dtype": "float32",
            },
            "budget_s": 1200.0,
            "seconds": {"ingest": 3.1, "curate": 9.7, "select": 871.2, "train": 214.9, "evaluate": 41.3},
            "data": {
                "notes": {
                    "rows_read": 13007,
                    "repairs": [
                        {"what": "encoding", "rows": 214, "how": "Windows-1252 read as UTF-8 put right"},
                        {"what": "html entities", "rows": 88, "how": "&amp; and the like turned into letters"},
                    ],
                    "ignored": {
                        "ticket_id": "an id: every value occurs once",
                        "closed_by_queue": "gives the answer away: it predicts the category in 99.8 % of the rows",
                        "created_at": "a date; kept for slices",
                    },
                    "language": {"en": 0.981, "de": 0.014, "unknown": 0.005},
                    "label_counts": dict(zip(LABELS, (3411, 2902, 2214, 1490, 1301, 1022, 406), strict=True)),
                    "text_length": {"unit": "words", "min": 1, "p5": 6, "median": 34, "p95": 188, "max": 1204},
                    "split": {
                        "by": "near-duplicate groups, stratified",
                        "groups": 11894,
                        "random_split_inflation": 0.021,
                    },
                },
                "inputs": ["subject", "message"],
                "target": "category",
                "labels": list(LABELS),
                "lineage": [
                    {
                        "stage": "read",
                        "rows_in": 13007,
                        "rows_out": 13007,
                        "what": "tickets.csv, 5 columns, comma, UTF-8 after repair",
                    },
                    {
                        "stage": "target",
                        "rows_in": 13007,
                        "rows_out": 12871,
                        "what": "136 rows without a category take no part",
                    },
                    {
                        "stage": "curate",
                        "rows_in": 12871,
                        "rows_out": 12540,
                        "what": "312 near-duplicates and 19 empty texts dropped from train; in the test only flagged",
                    },
                    {
                        "stage": "split",
                        "rows_in": 12540,
                        "rows_out": 12540,
                        "what": "9,200 train, 1,500 dev, 1,840 test; copies never stand on two sides",
                    },
                ],
                "ledger": {"opened": 1},
            },
            "ladder": {
                "candidate": "encoder",
                "reference": "fusion",
                "choice": "encoder",
                "frugal": "tfidf",
                "why": "encoder leads by 1.6 points; tfidf needs 1/50 of the computing for each answer",
            },
            "rungs": rungs,
            "per_class": [
                {"label": label, "precision": p, "recall": r, "f1": 2 * p * r / (p + r), "n": m}
                for label, p, r, m in zip(
                    LABELS,
                    (0.97, 0.96, 0.94, 0.95, 0.93, 0.92, 0.88),
                    (0.98, 0.96, 0.95, 0.94, 0.94, 0.9, 0.84),
                    (492, 419, 320, 215, 188, 147, 59),
                    strict=True,
                )
            ],
            "confused": [
                {"truth": "other", "answer": "billing", "n": 5, "share": 0.085},
                {"truth": "hardware", "answer": "outage", "n": 9, "share": 0.061},
                {"truth": "moving house", "answer": "cancel", "n": 8, "share": 0.037},
                {"truth": "slow line", "answer": "outage", "n": 7, "share": 0.022},
            ],
            "calibration": {
                "ece": 0.018,
                "brier": 0.084,
                "bins": [
                    {"confidence": c, "accuracy": a, "n": m}
                    for c, a, m in (
                        (0.35, 0.31, 13),
                        (0.46, 0.42, 36),
                        (0.55, 0.57, 61),
                        (0.65, 0.61, 82),
                        (0.75, 0.74, 110),
                        (0.86, 0.88, 214),
                        (0.97, 0.985, 1324),
                    )
                ],
            },
            "abstention": {
                "how": "dev",
                "n_dev": 1500,
                "n_test": 1840,
                "doubt": 0.1,
                "accept_at": 0.98,
                "targets": [
                    _promise(0.95, 0.41, 0.03, 0.959, 0.028, 0.957, "held"),
                    _promise(0.98, 0.83, 0.14, 0.987, 0.13, 0.979, "within chance"),
                    _promise(0.99, 0.96, 0.31, 0.996, 0.29, 0.97, "broken"),
                    {**_promise(0.999, 0.0, 1.0, 0.0, 1.0, 0.0, "cannot be promised"), "threshold": None},
                ],
                "curve": [
                    [k / 50, 0.945 + 0.001 * k, 0.93 + 0.001 * k, min(1.0, 0.957 + 0.001 * k)] for k in range(48)
                ],
                "test_curve": [[k / 50, 0.942 + 0.0011 * k, 0.93, 0.96] for k in range(48)],
                "best_target": 0.992,
            },
            "scope": {
                "kind": "vectors",
                "bound": 0.02,
                "n_dev": 1500,
                "n": 1000,
                "flagged": 23,
                "interval": [0.0146, 0.0343],
                "score_flagged": 0.61,
                "score_rest": 0.95,
            },
            "robustness": {
                "metric": "accuracy",
                "rows": 240,
                "chosen": "240 rows, drawn by the seed: 12 s at about 6 ms an answer.",
                "kinds": [
                    _disturbed("mistyped", 240, 0.946, 0.891),
                    _disturbed("in capitals", 240, 0.946, 0.946),
                    _disturbed("reworded", 131, 0.946, 0.938),
                    _disturbed("chatter around it", 240, 0.946, 0.713),
                ],
            },
            "slices_how": "looked for among the answers to rows that it had not learned from, tested on the test",
            "regressions": [
                {
                    "tuned": "encoder",
                    "other": "fusion",
                    "n": 1840,
                    "lost": 31,
                    "won": 52,
                    "p_value": 0.03,
                    "labels": [{"label": "other", "net": 4}],
                    "rows": [
                        {"id": 17, "text": _TEXTS[0][0], "truth": "outage", "tuned": "hardware", "other": "outage"},
                        {"id": 401, "text": _TEXTS[1][0], "truth": "billing", "tuned": "cancel", "other": "billing"},
                    ],
                }
            ],
            "label_next": [
                {"what": "language", "value": "de", "why": "scores 73.1 %, the rest 95.0 %"},
                {"what": "label", "value": "other", "why": "11 of 88 mistakes, with 240 rows to learn from"},
            ],
            "slices": [
                {
                    "slice": "language",
                    "value": "de",
                    "n": 26,
                    "score": 0.731,
                    "interval": [0.539, 0.863],
                    "p_adjusted": 0.004,
                },
                {
                    "slice": "length",
                    "value": "under 6 words",
                    "n": 93,
                    "score": 0.849,
                    "interval": [0.763, 0.908],
                    "p_adjusted": 0.011,
                },
                {
                    "slice": "label seen",
                    "value": "fewer than 500 rows in train",
                    "n": 59,
                    "score": 0.864,
                    "interval": [0.755, 0.93],
                    "p_adjusted": 0.19,
                },
                {
                    "slice": "created_at",
                    "value": "2025-12",
                    "n": 201,
                    "score": 0.925,
                    "interval": [0.88, 0.954],
                    "p_adjusted": 1.0,
                },
            ],
            "errors": [
                {"id": 4100 + 17 * k, "text": text, "truth": truth, "answer": answer, "confidence": sure}
                for k, (text, truth, answer, sure) in enumerate(_TEXTS)
            ],
            "estimates": {
                "energy_wh": 10.3,
                "money": "0.003 EUR",
                "assumptions": "15 W for each busy core; 0.30 EUR for a kWh",
            },
            "use": {
                "cli": [
                    "tunesmith predict runs/tickets new.csv",
                    'tunesmith predict runs/tickets "My line is down since noon"',
                ],
                "python": 'import tunesmith as ts\n\nrun = ts.open("runs/tickets")\nrun.predict(["one text"])',
            },
        },
    }


def text_task() -> dict[str, Any]:
    """Dialogue to note: the tuned model writes better notes but also invents facts, so it does not win."""

    def system(
        name: str,
        kind: str,
        fact: float | None,
        unsupported: float,
        rouge: float,
        cost: tuple[float | None, ...],
        **more: Any,
    ) -> dict[str, Any]:
        made = _system(
            name, kind, more.pop("status", "full"), fact, cost, n=200, lead="fact_f1", second="rouge_l", **more
        )
        if fact is not None:
            made["scores"] |= {
                "rouge_l": _score(rouge, 200),
                "unsupported_rate": _score(unsupported, 200),
                "length_ratio": {"value": 1.13, "interval": [1.01, 1.25], "n": 200},
                "style_distance": {"value": 0.41, "interval": None, "n": 200},
            }
        return made

    base = "smollm2-135m-instruct"
    report = classify()
    details = report["details"]
    for key in ("per_class", "confused", "calibration"):
        del details[key]
    details["abstention"] = {"why": "answers that are texts carry no probability, so none can be held back by it."}
    details |= {
        "title": "calls.jsonl: call to note",
        "run": "runs/calls",
        "ladder": {
            "candidate": "lm",
            "reference": "lead",
            "choice": "lm",
            "frugal": "lead",
            "why": "copying costs nothing",
        },
        "rungs": {
            "lm": {
                "dev": 0.331,
                "interval": [0.29, 0.37],
                "n": 100,
                "how": "dev",
                "why": "",
                "status": "full",
                "curve": _curve(260, 3.1, 1.42, 0.08, 0.331),
                "train_rows": 1201,
            },
            "lead": {
                "dev": 0.262,
                "interval": [0.23, 0.29],
                "n": 100,
                "how": "dev",
                "why": "",
                "status": "full",
                "curve": [],
                "train_rows": 1201,
            },
            "few_shot": {
                "dev": None,
                "interval": None,
                "n": 0,
                "why": "not run: three examples do not fit beside the longest call",
                "status": "not run",
                "curve": [],
            },
        },
        "slices": [
            {
                "slice": "length",
                "value": "over 900 words",
                "n": 31,
                "score": 0.214,
                "interval": [0.15, 0.28],
                "p_adjusted": 0.03,
            }
        ],
        "errors": [
            {
                "id": 12,
                "text": "Caller: the line dropped on Tuesday at 9. Agent: I book a visit for Friday.",
                "truth": "Line dropped Tuesday 9:00. Visit Friday.",
                "answer": "Line dropped Monday at 9. Visit on the 14th.",
                "confidence": None,
            }
        ],
        "examples": [
            {
                "source": _CALL * 4,
                "reference": "Line down since Tuesday 9:00. Technician booked for Friday 8–12.",
                "answer": "The line has been down since Tuesday at 9. A technician visits on Friday between 8 and 12.",
            },
            {
                "source": "Caller: please cancel at the end of the month.",
                "reference": "Cancellation at the end of the month.",
                "answer": "Customer cancels on 30 June.",
            },
        ],
        "use": {"cli": ["tunesmith predict runs/calls new.jsonl"], "python": None},
    }
    details["data"] |= {
        "inputs": ["call"],
        "target": "note",
        "labels": [],
        "notes": {"rows_read": 1501, "text_length": {"unit": "words", "median": 412, "max": 2210}},
    }
    main = {
        "difference": 0.021,
        "interval": [-0.017, 0.058],
        "p_value": 0.28,
        "n": 200,
    }
    return report | {
        "task": "rewrite",
        "leads": "fact_f1",
        "data": {"rows": 1501, "train": 1201, "dev": 100, "test": 200, "fingerprint": "91f0aa0b"},
        "verdict": {
            "winner": "lead",
            "against": "lm",
            "claim": "underpowered (needs n = 1120)",
            **main,
            "sentence": "200 test rows are too few to tell whether the tuned language model writes better notes than "
            "copying the first sentences; about 1,120 would be needed.",
        },
        "comparisons": [
            {"a": "lm", "b": "lead", "metric": "fact_f1", **main, "p_adjusted": 0.28, "test": "paired permutation"}
        ],
        "systems": [
            system(
                "lm", "tuned", 0.298, 0.35, 0.295, (2110.0, 1100.0, 2900 * _MB, 21 * _MB, 2.9), base=base, method="lora"
            ),
            system("lead", "untuned", 0.277, 0.0, 0.133, (0.0, 0.0, 180 * _MB, 88, 0.00001)),
            system("zero_shot", "untuned", 0.11, 0.22, 0.08, (0.0, 0.0, 1290 * _MB, 0, 2.2), base=base),
            system("few_shot", "untuned", None, 0.0, 0.0, (None,) * 5, status="not run", base=base),
        ],
    }


def no_evidence() -> dict[str, Any]:
    """A large test and no difference: the cheap system ships."""
    report = classify()
    report["verdict"] = {
        "winner": "fusion",
        "against": "encoder",
        "claim": "no evidence",
        "difference": 0.0012,
        "interval": [-0.0051, 0.0075],
        "p_value": 0.71,
        "n": 1840,
        "sentence": "There is no evidence that tuning helps here: 92.9 % against 92.8 % macro-F1 on 1,840 unseen rows.",
    }
    report["systems"][0]["scores"]["macro_f1"] = _score(0.9288, 1840)
    return report


def worse() -> dict[str, Any]:
    """The tuned rung loses, and a check failed."""
    report = no_evidence()
    report["verdict"] |= {
        "claim": "worse",
        "difference": -0.0312,
        "interval": [-0.044, -0.0184],
        "p_value": 0.0002,
        "sentence": "Tuning made it worse: 89.6 % against 92.8 % macro-F1 on 1,840 unseen rows.",
    }
    report["systems"][0]["scores"]["macro_f1"] = _score(0.8964, 1840)
    remedy = "merge in float32, or ship the adapter unmerged: set export.merge to false"
    report["checks"][6] |= {"passed": False, "value": 0.41, "remedy": remedy}
    report["details"]["data"]["ledger"]["opened"] = 6
    return report


def no_candidate() -> dict[str, Any]:
    """Nothing that tunes weights took part."""
    report = classify()
    report["systems"] = [row for row in report["systems"] if row["kind"] == "untuned"]
    report["comparisons"] = []
    report["verdict"] = {
        "winner": "fusion",
        "against": None,
        "claim": None,
        "difference": None,
        "interval": None,
        "p_value": None,
        "n": 1840,
        "sentence": "Nothing was tuned within the budget of 30 s; fusion ships with 92.8 % macro-F1.",
    }
    report["details"]["ladder"] |= {"candidate": None, "choice": "fusion"}
    return report


def nothing_ran() -> dict[str, Any]:
    """Every rung was refused; there is nothing to ship."""
    report = classify()
    for row in report["systems"]:
        row |= {"status": "not run", "scores": {}, "n": 0, "cost": dict.fromkeys(row["cost"])}
    why = "not run: the budget of 2 s ended before it could start"
    for rung in report["details"]["rungs"].values():
        rung |= {"dev": None, "interval": None, "status": "not run", "curve": [], "why": why}
    report["verdict"] = dict.fromkeys(report["verdict"])
    report["comparisons"], report["checks"] = [], []
    report["details"] = {key: report["details"][key] for key in ("title", "rungs", "ladder")}
    return report


def many_classes() -> dict[str, Any]:
    """77 labels with long names."""
    report = classify()
    about = ("transfer", "card", "limit", "fee", "exchange_rate", "verification", "top_up")
    names = [
        f"customer_asks_about_{word}_{k:02d}_and_whether_it_can_be_changed_afterwards"
        for k in range(11)
        for word in about
    ]
    details = report["details"]
    details["per_class"] = [
        {"label": name, "precision": 0.99 - k / 300, "recall": 0.995 - k / 290, "f1": 0.99 - k / 296, "n": 40}
        for k, name in enumerate(names)
    ]
    details["confused"] = [
        {"truth": names[k], "answer": names[k + 7], "n": 9 - k, "share": (9 - k) / 40} for k in range(9)
    ]
    details["data"]["labels"] = names
    details["data"]["notes"]["label_counts"] = dict.fromkeys(names, 130)
    return report


HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "{{ 7 * 7 }} {% raw %}",
    "\u202etxet sdrawkcab\u202c \u2066open isolate",
    "שלום עולם, مرحبا بالعالم",
    "👩🏽‍🚒🔥🇺🇳" * 6,
    "".join(letter + "\u0335\u0321\u0322\u031b\u0353\u032f\u0332\u0308\u0301\u0303" for letter in "Zalgo"),
    "nul \x00 bell \x07 escape \x1b[31mred\x1b[0m lone \ud800 surrogate",
    "[bold red]markup[/bold red] [/]",
    "x" * 3000,
    "a very long text " * 4000,
    "javascript:alert(4)",
    "https://example.invalid/tracker.png",
)


def hostile() -> dict[str, Any]:
    """Every string that comes from data or from a file name is an attack or a nuisance."""
    report = classify()
    details = report["details"]
    turn = iter(HOSTILE * 40)
    details["title"] = "".join(HOSTILE[:3])
    details["run"] = HOSTILE[1]
    for row in details["per_class"]:
        row["label"] = next(turn)
    for row in details["confused"]:
        row["truth"], row["answer"] = next(turn), next(turn)
    for row in details["errors"]:
        row["text"], row["truth"], row["answer"], row["id"] = next(turn), next(turn), next(turn), next(turn)[:40]
    for row in details["slices"]:
        row["slice"], row["value"] = next(turn), next(turn)
    details["examples"] = [{"source": text, "reference": next(turn), "answer": next(turn)} for text in HOSTILE]
    details["data"]["notes"]["ignored"] = {text: text for text in HOSTILE}
    details["data"]["notes"]["label_counts"] = {text: k for k, text in enumerate(HOSTILE)}
    details["data"]["target"] = HOSTILE[0]
    details["data"]["lineage"][0]["what"] = " ".join(HOSTILE[:10])
    details["use"]["cli"] = [f"tunesmith predict '{HOSTILE[0]}'"]
    report["decisions"] += [{"what": text, "choice": text, "why": text} for text in HOSTILE[:11]]
    report["checks"][0]["value"] = HOSTILE[2]
    report["checks"][1]["name"] = HOSTILE[8]
    report["verdict"]["sentence"] = "Better. " + " ".join(HOSTILE[:9])
    report["systems"][1] |= {"name": HOSTILE[0], "base": HOSTILE[2]}
    report["verdict"]["against"] = HOSTILE[0]
    details["ladder"] |= {"reference": HOSTILE[0], "why": HOSTILE[1]}
    return report


def bare() -> dict[str, Any]:
    """Only the contract, no details: as another tool might write it."""
    report = classify()
    del report["details"]
    return report


def broken() -> dict[str, Any]:
    """Right keys, wrong kinds: what a damaged file could hold."""
    report: dict[str, Any] = {key: [None, 3, "x", {}] for key in classify()}
    report |= {
        "details": dict.fromkeys(classify()["details"], 7),
        "verdict": {"interval": ["a", None], "difference": float("nan")},
    }
    report["systems"] = [
        {"name": None, "scores": {"x": {"value": float("inf")}}, "cost": 4},
        "no object",
        {"name": "tfidf", "kind": "untuned", "scores": {"f1": 0.5}},
    ]
    return report


SAMPLES = {
    "classify": classify,
    "text": text_task,
    "no-evidence": no_evidence,
    "worse": worse,
    "no-candidate": no_candidate,
    "nothing-ran": nothing_ran,
    "many-classes": many_classes,
    "hostile": hostile,
    "bare": bare,
    "broken": broken,
    "empty": dict,
}


def sample(name: str) -> dict[str, Any]:
    """A copy of one of the samples, free to be changed."""
    return copy.deepcopy(SAMPLES[name]())
