"""Documents of every kind become passages that are exact parts of them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.documents import cut, passage_columns, read_library

PROSE = (
    "# Leave\n\nEvery employee has thirty days of leave.\n\n\nIt must be asked for two weeks ahead.\n\n2. Sick days\n\n"
    + "Whoever is ill tells the office by nine o'clock. " * 30
    + "\n\nA note is needed from the third day on.\n"
)


def test_passages_are_slices_that_cover_the_text():
    spans = cut(PROSE)
    assert all(PROSE[s:e] == PROSE[s:e].strip() and e > s for s, e, _ in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert "".join("".join(PROSE[s:e].split()) for s, e, _ in spans) == "".join(PROSE.split())
    assert max(len(PROSE[s:e].split()) for s, e, _ in spans) <= 240
    assert spans[0][2] == "Leave"
    assert cut("") == cut(" \n\n ") == []


def test_a_line_is_a_paragraph_where_no_line_is_blank():
    lines = [
        f"Rule {i} says what has to be done in this case, by whom, and until which day of the month it has to be done. "
        for i in range(9)
    ]
    text = "\n".join(lines)
    spans = cut(text)
    assert len(spans) > 3
    assert all(text[s:e].startswith("Rule") for s, e, _ in spans)
    wrapped = "\n".join(["one short line of", "a paragraph that was", "broken by an editor"])
    assert len(cut(wrapped)) == 1
    assert len(cut("Leave\n" + lines[0] + "\n" + lines[1], by_line=True)) == 1
    assert cut("Leave\n" + lines[0] * 3, by_line=True)[0][2] == "Leave"


def test_word_and_web_documents_are_cut_at_their_paragraphs(tmp_path):
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("Leave", 1)
    for i in range(6):
        document.add_paragraph(f"Employee group {i} " + "has some days of leave in every year that it works " * 4)
    document.save(str(tmp_path / "a.docx"))
    (tmp_path / "b.html").write_text(
        "<h1>Fees</h1><p>" + "Fees are due. " * 20 + "</p><p>" + "Late fees. " * 25 + "</p>"
    )
    library = read_library([tmp_path])
    assert len([p for p in library if p.document == "a.docx"]) == 6
    assert {p.title for p in library} == {"Leave", "Fees"}
    assert [p.passage for p in library if p.document == "b.html"] == ["1", "2"]


def test_a_folder_of_texts_is_read_with_ids_and_offsets(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "handbook.md").write_text(PROSE, encoding="utf-8")
    (folder / "sub" / "short.txt").write_text("Only one line – with a dash.", encoding="utf-8")
    (folder / "empty.txt").write_text("")
    (folder / "scan.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / ".hidden.txt").write_text("not for reading")
    library = read_library([folder])
    assert library.documents == ("handbook.md", "sub/short.txt")
    assert all(PROSE[p.start :].startswith(p.text) for p in library if p.document == "handbook.md")
    assert library["sub/short.txt", "1"].text == "Only one line – with a dash."
    assert any("empty.txt" in w for w in library.warnings)
    assert any("scan.pdf" in w for w in library.warnings)


def test_a_folder_without_texts_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("  \n")
    with pytest.raises(DataError, match="no text was found"):
        read_library([tmp_path])
    with pytest.raises(DataError, match="no such file or folder"):
        read_library([tmp_path / "nowhere"])


def test_a_table_of_passages_keeps_its_ids_and_texts(tmp_path):
    rows = [
        {"DocumentID": 3, "PassageID": "18.8.2", "Passage": "One:\n(a)\ttwo"},
        {"DocumentID": 3, "PassageID": "18.8.2", "Passage": "One:\n(a)\ttwo"},
        {"DocumentID": 3, "PassageID": "18.8.2", "Passage": "Another text under the id"},
        {"DocumentID": 2, "PassageID": "1", "Passage": ""},
    ]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    library = read_library([tmp_path / "p.json"])
    assert [p.reference for p in library] == [("3", "18.8.2"), ("3", "18.8.2 (2)")] or len(library) == 2
    assert {p.text for p in library} == {"One:\n(a)\ttwo", "Another text under the id"}
    assert any("no text" in w for w in library.warnings)
    assert any("several texts" in w for w in library.warnings)


def test_a_table_without_passages_says_what_to_name(tmp_path):
    (tmp_path / "t.csv").write_text("alpha,beta\n1,2\n")
    with pytest.raises(DataError, match="no column holds passages"):
        read_library([tmp_path / "t.csv"])


def test_columns_are_found_by_the_last_part_of_their_names():
    found = passage_columns(["QuestionID", "Question", "Passages.DocumentID", "Passages.PassageID", "Passages.Passage"])
    assert (found.document, found.passage, found.text) == (
        "Passages.DocumentID", "Passages.PassageID", "Passages.Passage",
    )  # fmt: skip
