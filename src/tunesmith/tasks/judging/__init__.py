"""Judges code: Python by running its tests, SQL by what it returns from a database, both by their normalised text.

A reference is the text of the right answer; what else judges it stands below it, after a line that neither language
reads as anything but a comment (`core.dataset.Rows.references` puts it there):

    def double(x): return 2 * x          SELECT name FROM staff WHERE id = 7
    # --- judged by ---                  # --- judged by ---
    assert double(4) == 8                database 3f9a…
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.core.dataset import JUDGED_BY

DATABASE = "database "  # before the key of an attached database
Language = Literal["python", "sql", ""]


@dataclass(frozen=True)
class Reference:
    """The right answer, and the tests or the key of the database that judge others; either may be ""."""

    text: str
    tests: str = ""
    database: str = ""

    @classmethod
    def read(cls, reference: str) -> Reference:
        """Take apart what `Rows.references` put together."""
        text, _, judge = reference.partition(JUDGED_BY)
        judge = judge.strip()
        if judge.startswith(DATABASE):
            return cls(text.strip(), database=judge.removeprefix(DATABASE).strip())
        return cls(text.strip(), tests=judge)
