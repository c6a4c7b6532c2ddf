"""Bytes to text: byte-order marks, UTF-8, UTF-16, single-byte code pages, and files that mix them by line."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import DataError

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# The first bytes of files that people hand in by mistake, and what to do about each.
_MAGIC = (
    (b"PK\x03\x04", "a zip archive (or an office file)", "give it the ending .zip, .xlsx or .docx"),
    (b"%PDF", "a PDF document", "give it the ending .pdf"),
    (b"\x89PNG", "a picture", "give a file with texts"),
    (b"\xff\xd8\xff", "a picture", "give a file with texts"),
    (b"GIF8", "a picture", "give a file with texts"),
    (b"PAR1", "a parquet file", "give it the ending .parquet"),
    (b"\xd0\xcf\x11\xe0", "an old office file", "save it as .xlsx, .docx or .csv"),
    (b"SQLite format 3", "a database", "export the table as csv"),
    (b"\x7fELF", "a program", "give a file with texts"),
)

_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27})


@dataclass(frozen=True)
class Text:
    """A file's text, and what had to be mended to get it (kind -> count of lines)."""

    text: str
    encoding: str
    repairs: Mapping[str, int] = field(default_factory=dict)


def read_bytes(path: Path) -> bytes:
    """A file's bytes, gunzipped if gzipped; raises DataError if it cannot be read or is empty."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.", hint="check the path and the spelling.") from error
    except PermissionError as error:
        raise DataError(
            f"{path.name}: no permission to read it.", hint=f"give yourself access: chmod u+r {path}"
        ) from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder, not a file.", hint="name the file in it.") from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.", hint="check the disk.") from error
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path.name}: the gzip stream is damaged ({error}).", hint="fetch the file again."
            ) from error
    if not content.strip(b" \t\r\n\0\xef\xbb\xbf"):
        raise DataError(f"{path.name} is empty.", hint="give a file with at least a header and some rows.")
    return content


def refuse_binary(content: bytes, name: str) -> None:
    """Raise DataError if the bytes are not text."""
    for magic, what, remedy in _MAGIC:
        if content.startswith(magic):
            raise DataError(f"{name} is {what}, not text.", hint=f"{remedy}.")
    sample = content[:65536] + content[len(content) // 2 :][:65536]
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    if controls > 0.1 * len(sample):
        raise DataError(
            f"{name} is not text: {controls / len(sample):.0%} of its bytes are control characters.",
            hint="save the table as csv in UTF-8.",
        )


def decode(content: bytes, name: str, encoding: str | None = None) -> Text:
    """The text of the bytes; `encoding` None means: find out.

    Order: byte-order mark, UTF-16 without one (every other byte is 0), strict UTF-8, then line by line:
    lines that are not UTF-8 are read in the code page that fits them. NUL characters are removed.
    """
    if encoding is not None:
        return _named(content, name, encoding)
    for bom, known in _BOMS:
        if content.startswith(bom):
            if known == "utf-8":
                return _utf8_or_mixed(content[len(bom) :], name, {"byte-order mark removed": 1})
            if b"\0" not in content[:4096] and known == "utf-16" and _is_utf8(content[2:]):
                return _utf8_or_mixed(content[2:], name, {"wrong byte-order mark removed": 1})
            return _wide(content, name, known)
    wide = _utf16_without_bom(content)
    if wide is not None:
        return _wide(content, name, wide)
    refuse_binary(content, name)
    return _utf8_or_mixed(content, name, {})


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _named(content: bytes, name: str, encoding: str) -> Text:
    try:
        return _clean(content.decode(encoding), encoding, {})
    except LookupError as error:
        raise DataError(f"no encoding is called '{encoding}'.", hint="common ones: utf-8, cp1252, utf-16.") from error
    except UnicodeError as error:
        at = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise DataError(
            f"{name}: line {at} is not {encoding} ({error}).", hint="leave the encoding out, so that it is found."
        ) from error


def _wide(content: bytes, name: str, encoding: str) -> Text:
    try:
        return _clean(content.decode(encoding), encoding, {f"read as {encoding}": 1})
    except UnicodeError:
        pass
    text = content.decode(encoding, errors="replace")
    bad = text.count("\ufffd")
    if bad > max(3, 0.01 * len(text)):
        raise DataError(
            f"{name}: says it is {encoding} but {bad:,} of its {len(text):,} characters cannot be read.",
            hint="save the table again, as csv in UTF-8.",
        )
    return _clean(text, encoding, {f"read as {encoding}": 1, "unreadable characters replaced": bad})


def _utf16_without_bom(content: bytes) -> str | None:
    head = content[:4096]
    if len(head) < 8:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.05 * half:
        return "utf-16-be"
    return None


def _utf8_or_mixed(content: bytes, name: str, repairs: dict[str, int]) -> Text:
    try:
        return _clean(content.decode("utf-8"), "utf-8", repairs)
    except UnicodeDecodeError:
        refuse_binary(content, name)
    lines = content.split(b"\n")
    bad = []
    good_wide = 0
    for at, line in enumerate(lines):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good_wide += 1
        except UnicodeDecodeError:
            bad.append(at)
    page = _code_page(b"\n".join(lines[at] for at in bad[:2000]), mixed=good_wide > 0)
    if good_wide == 0:
        return _clean(_decode_in(content, page), page, {**repairs, f"read as {page}": 1})
    marked = set(bad)
    text = "\n".join(_decode_in(line, page) if at in marked else line.decode("utf-8") for at, line in enumerate(lines))
    return _clean(text, "utf-8", {**repairs, f"lines in another encoding ({page})": len(bad)})


def _decode_in(content: bytes, page: str) -> str:
    try:
        return content.decode(page)
    except UnicodeDecodeError:
        # cp1252 leaves five bytes undefined; latin-1 has them all.
        return content.decode("cp1252", errors="replace") if page != "cp1252" else content.decode("latin-1")


def _code_page(sample: bytes, *, mixed: bool) -> str:
    """The code page of lines that are not UTF-8; the common western one unless another is far likelier."""
    western = sum(byte >= 0x80 for byte in sample)
    # A western text has few bytes above 0x7f; scripts of their own have mostly such bytes.
    if mixed or western < 0.25 * max(1, len(re.sub(rb"[\s\d]", b"", sample))):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample[:65536]).best()
    return best.encoding if best is not None else "cp1252"


def _clean(text: str, encoding: str, repairs: dict[str, int]) -> Text:
    if text.startswith("\ufeff"):
        text = text[1:]
    nuls = text.count("\0")
    if nuls:
        text = text.replace("\0", "")
        repairs = {**repairs, "NUL characters removed": nuls}
    if "\x1e" in text:
        text = text.replace("\x1e", " ")
    return Text(text, encoding, repairs)
