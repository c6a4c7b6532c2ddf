"""Runs presidio with a small English spaCy model over texts; in an environment of its own.

Reads [texts, digit strings] as JSON on stdin; writes name, spans, CPU seconds and how many digit strings are persons.
The model is the installed package whose name begins with en_core_web_sm.
"""

from __future__ import annotations

import importlib.metadata
import json
import pkgutil
import sys
import time
from pathlib import Path

import spacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine

KINDS = {
    "PERSON": "person", "LOCATION": "place", "ORGANIZATION": "organisation", "CREDIT_CARD": "card", "IBAN_CODE": "iban",
    "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "URL": "url", "IP_ADDRESS": "ip", "US_SSN": "national_id",
}  # fmt: skip


def model() -> Path:
    """The folder of the installed model, wherever in its package it lies."""
    for package in pkgutil.iter_modules():
        if package.name.startswith("en_core_web_sm"):
            folder = Path(package.module_finder.path) / package.name
            return sorted(folder.rglob("config.cfg"))[0].parent
    raise SystemExit("no spaCy model en_core_web_sm* is installed here")


texts, digits = json.load(sys.stdin)
engine_of_words = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "en_core_web_sm"}])
engine_of_words.nlp = {"en": spacy.load(model())}
engine = AnalyzerEngine(nlp_engine=engine_of_words, supported_languages=["en"])
engine.analyze("warm up", language="en")
began = time.process_time()
found = [
    [[KINDS[r.entity_type], r.start, r.end] for r in engine.analyze(text, language="en") if r.entity_type in KINDS]
    for text in texts
]
seconds = time.process_time() - began
persons = sum(any(r.entity_type == "PERSON" for r in engine.analyze(text, language="en")) for text in digits)
meta = json.loads((model() / "meta.json").read_text(encoding="utf-8"))
name = f"presidio {importlib.metadata.version('presidio-analyzer')}, {meta['lang']}_{meta['name']} {meta['version']}"
json.dump({"name": name, "spans": found, "seconds": seconds, "digits": persons}, sys.stdout)
