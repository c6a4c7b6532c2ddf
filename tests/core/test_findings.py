"""Findings come back as they were written, in order."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.findings import Finding, load_findings, save_findings


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    found = [
        Finding("repair", 7, "fix", "HTML entities", fix="a & b", asked="fix", was="a &amp; b"),
        Finding("labels", 3, "keep", "rare", 0.25, "cash", "misspelt", "target", "fix", None, "reject"),
    ]
    save_findings(found, tmp_path / "findings.parquet")
    assert load_findings(tmp_path / "findings.parquet") == found


def test_none_is_saved_too(tmp_path: Path) -> None:
    save_findings([], tmp_path / "findings.parquet")
    assert load_findings(tmp_path / "findings.parquet") == []
