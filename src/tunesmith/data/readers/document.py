"""Documents: the pages of a pdf, the paragraphs of a docx or html file, the parts of an e-mail, as rows of text.

Documents carry no target of their own; in a folder, the folder's name is the label (see folder.py).
"""

from __future__ import annotations

import email
import email.policy
import re
import zipfile
from email.errors import MessageError
from html.parser import HTMLParser
from pathlib import Path

from tunesmith.core.errors import DataError, MissingExtra
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.table import LIST_MARK, Table, check_cells, table_of

# What parsers of binary formats raise, besides errors of their own, when a file's bytes make no sense.
_DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, AssertionError, ArithmeticError,
    NotImplementedError,
)  # fmt: skip
_UNSEEN = frozenset({"script", "style", "head", "nav", "footer", "header", "noscript", "template", "svg", "form"})
_BLOCKS = frozenset(
    {
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "blockquote",
        "pre",
        "table",
    }
    | {"ul", "ol", "td", "th", "dt", "dd"}
)


@reader("document")
@suffixes(".pdf", ".docx", ".html", ".htm", ".eml")
def read(path: Path, how: Reading) -> Table:
    """One row per page (pdf), or one row (docx, html, eml), with columns `text`, `page` or `subject`, `from`."""
    content = read_bytes(path)
    ending = path.suffix.lower()
    if ending == ".pdf":
        return _table(path, {"page": None, "text": _pdf(content, path)})
    if ending == ".docx":
        return _table(path, {"text": [_docx(path)]})
    if ending == ".eml":
        return _table(path, {name: [value] for name, value in _eml(content, path).items()})
    return _table(path, {"text": [html_text(decode(content, path.name, how.encoding).text)]})


def html_text(source: str) -> str:
    """What a reader of the page sees: no scripts, menus or forms; one line per block."""
    parser = _Page()
    parser.feed(source)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            while self._unseen and self._unseen.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(data)


def _table(path: Path, columns: dict[str, list[str] | None]) -> Table:
    texts = [text.replace(LIST_MARK, " ").strip() for text in columns["text"] or []]
    if not any(texts):
        raise DataError(f"{path.name} holds no text that can be read.", hint="a scan must be recognised (OCR) first.")
    filled: dict[str, list[str | None]] = {"text": [text or None for text in texts]}
    for name, values in columns.items():
        if name == "page":
            filled["page"] = [str(at) for at in range(1, len(texts) + 1)]
        elif name != "text" and values is not None:
            filled[name] = [value or None for value in values]
    return check_cells(table_of(filled, file=path.name))


def _pdf(content: bytes, path: Path) -> list[str]:
    import io
    import logging

    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingExtra(f"reading {path.name}", "ingest") from error
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every oddity of every page
    if not content.lstrip()[:5].startswith(b"%PDF"):
        raise DataError(f"{path.name} is no pdf file.", hint="give it its right ending.")
    try:
        document = PdfReader(io.BytesIO(content))
        if document.is_encrypted:
            raise DataError(f"{path.name} is protected by a password.", hint="save it without one.")
        return [page.extract_text() or "" for page in document.pages]
    except (PyPdfError, OSError, *_DAMAGE) as error:
        raise DataError(
            f"{path.name} is not a whole pdf file ({type(error).__name__}: {str(error)[:100]}).",
            hint="fetch or print it again.",
        ) from error


def _docx(path: Path) -> str:
    try:
        import docx
        from docx.opc.exceptions import OpcError
    except ImportError as error:
        raise MissingExtra(f"reading {path.name}", "ingest") from error
    import zlib

    from lxml.etree import LxmlError  # type: ignore[import-untyped]

    try:
        document = docx.Document(str(path))
        lines = []
        for block in document.iter_inner_content():
            if hasattr(block, "rows"):
                lines += [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
            else:
                lines.append(block.text)
        return "\n".join(lines)
    except (OpcError, LxmlError, zipfile.BadZipFile, OSError, EOFError, zlib.error, *_DAMAGE) as error:
        raise DataError(
            f"{path.name} is not a whole docx file ({type(error).__name__}: {str(error)[:100]}).", hint="save it again."
        ) from error


def _eml(content: bytes, path: Path) -> dict[str, str]:
    try:
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(preferencelist=("plain", "html"))
        text = "" if body is None else str(body.get_content())
        if body is not None and body.get_content_type() == "text/html":
            text = html_text(text)
        headers = {name: str(message.get(name, "")) for name in ("subject", "from", "date")}
    except (MessageError, LookupError, ValueError, AttributeError, TypeError, IndexError) as error:
        raise DataError(
            f"{path.name} is not a whole e-mail ({type(error).__name__}: {str(error)[:100]}).",
            hint="save it again as .eml.",
        ) from error
    return {"text": text, **headers}
