"""Microsoft's presidio behind the same interface as the rules of this package; installed with the extra `pii`.

Its default engine would download a spaCy model when it starts. Nothing is downloaded here: the model must be there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingExtra
from tunesmith.data.personal.patterns import is_reserved
from tunesmith.data.personal.spans import Span, settle
from tunesmith.data.steps import CannotRun

# presidio's entity -> the kind it is here. Entities that are no kind here (dates, URLs in text, …) are left out.
KINDS_OF = {
    "PERSON": "person", "LOCATION": "place", "ORGANIZATION": "organisation", "CREDIT_CARD": "card",
    "IBAN_CODE": "iban", "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "URL": "url", "IP_ADDRESS": "ip",
    "US_SSN": "national_id", "US_ITIN": "national_id", "US_PASSPORT": "national_id", "US_DRIVER_LICENSE": "national_id",
    "UK_NHS": "national_id", "UK_NINO": "national_id", "ES_NIF": "national_id", "ES_NIE": "national_id",
    "IT_FISCAL_CODE": "national_id", "PL_PESEL": "national_id", "FI_PERSONAL_IDENTITY_CODE": "national_id",
    "IN_AADHAAR": "national_id", "AU_TFN": "national_id", "SG_NRIC_FIN": "national_id",
}  # fmt: skip


class Presidio:
    """Finds spans with presidio's analyzer (English) and a spaCy model that is installed or lies in a folder."""

    def __init__(self, model: str, *, kinds: Collection[str]) -> None:
        """Raises MissingExtra without presidio or spaCy, CannotRun without the model."""
        try:
            import spacy
            from presidio_analyzer import AnalyzerEngine
            from presidio_analyzer.nlp_engine import SpacyNlpEngine
        except ImportError as error:
            raise MissingExtra("finding personal data with presidio", "pii") from error
        if not Path(model).is_dir() and importlib.util.find_spec(model) is None:
            raise CannotRun(
                f"presidio needs a spaCy model, and there is none called '{model}'.",
                hint="give `model` the name of an installed one or the folder of an unpacked one.",
            )
        self._kinds = frozenset(kinds)
        nlp = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model}])
        # `load` would look for a download; a loaded pipeline in its place is what it would have put there.
        nlp.nlp = {"en": spacy.load(model)}
        self._engine: Any = AnalyzerEngine(nlp_engine=nlp, supported_languages=["en"])

    def __call__(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text, as the rules give them."""
        return [self._spans(text) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        if not text.strip():
            return []
        found = [
            Span(KINDS_OF[r.entity_type], r.start, r.end, min(max(float(r.score), 0.01), 1.0), "presidio")
            for r in self._engine.analyze(text, language="en")
            if r.entity_type in KINDS_OF
        ]
        return [s for s in settle(found) if s.kind in self._kinds and not is_reserved(s.kind, text[s.start : s.end])]
