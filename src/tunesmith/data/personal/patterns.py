"""Personal data with a form of its own: found by pattern, confirmed by checksum or by the words around it."""

# ruff: noqa: E501 - a pattern that is cut over lines is harder to read

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence

from tunesmith.data.personal import checksums
from tunesmith.data.personal.spans import Span

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w!#$%&'*+/=^`{|}~-]+(?:\.[\w!#$%&'*+/=^`{|}~-]+)*@(?:[^\W_](?:[\w-]{0,62})?\.)+[^\W\d_]{2,24}(?![\w@])"
)
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'(){}\[\]]+|(?<![\w@./-])www\.[^\s<>\"'(){}\[\]]+", re.I)
# Endings that are English words (in, is, it, me, no, so, to …) are left out: "the end.It was" is no address.
_DOMAIN = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:com|org|net|edu|gov|info|biz|io|ai|dev|app|shop|online|eu|de|fr|es|"
    r"nl|ch|pl|cz|sk|hu|dk|se|fi|ie|pt|gr|ru|ua|jp|cn|kr|br|mx|ar|cl|ca|au|nz|za|uk|ro|bg|hr|si|ee|lv|lt|tr|il)"
    r"(?:/[^\s<>\"'(){}\[\]]*)?(?![\w@-])",
    re.I,
)
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%\w+)?(?![\w:])", re.I)
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![^\W_])", re.I)
_DIGITS = re.compile(r"(?<![\w.,#$€£+-])\d(?:[ -]?\d){11,18}(?![\w-]|[.,]\d)")
_BARE = re.compile(r"\d+")
_CARD_WORD = re.compile(
    r"\b(?:card|cards|credit|debit|cc|visa|mastercard|amex|maestro|discover|pan|carte|karte|tarjeta|carta)\b", re.I
)
_OTHER_NUMBER = re.compile(
    r"\b(?:order|ticket|invoice|reference|ref|tracking|parcel|serial|isbn|sku|item|product|article|case|imei|barcode|"
    r"transaction|timestamp|hash)\b[^.?!\n]{0,15}$",
    re.I,
)
_PHONE = re.compile(
    r"(?<![\w.,@#$€£/+-])(?:(?:\+|00)\s?\d{1,3}[\s.\-/]{0,3})?(?:\(\d{1,5}\)[\s.\-/]{0,2})?\d{1,12}(?:[ .\-/]{1,2}\(?\d{1,8}\)?){0,6}"
    r"(?:\s?(?:x|ext\.?|extension|durchwahl|poste)\s?\d{1,6})?(?![\w@%]|[.,:/-]\d)",
    re.I,
)
_PLUS = re.compile(
    r"(?<![\w+])\+\d{1,3}[\s.\-/]{0,2}\(?\d(?:[\s.\-/()]{0,3}\d){5,12}(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w@%])", re.I
)
_PHONE_WORD = re.compile(
    r"\b(?:phone|phones|telephone|tel|mobile|cell|cellphone|fax|call|calls|called|calling|ring|dial|text|sms|whatsapp|"
    r"contact|number|reach|desk|office|answering|landline|hotline|registered|handy|telefon|teléfono|téléphone|telefono|"
    r"telefoon|telefone|puhelin|numéro|numero)\b",
    re.I,
)  # fmt: skip
_DATE = re.compile(
    r"(?:\d{4}[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ]"
    r"(?:19|20)?\d{2})(?!\d)"
)
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_BIRTH_DATE = re.compile(
    rf"{_DATE.pattern}|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\.?,? \d{{4}}|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}",
    re.I,
)
_BIRTH = re.compile(
    r"(?:\b(?:born|birth|birthday|birthdate|dob|d\.o\.b|geboren|geburtsdatum|née?|naissance|nacid[oa]|nacimiento|nat[oa]|nascita)\b"
    r"[^\n.?!]{0,25}|\bb\. ?|\*\s?)$",
    re.I,
)
_POSTCODE = re.compile(
    r"(?<=\b)(?:zip|zip ?code|post ?code|postal code|postcode|plz|code postal|código postal|cap)\b"
    r"(?: (?:is|was|of|number|in))?[\s:=#]{1,3}(?:is )?(\d{4,6}(?:-\d{3,4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d)(?!\w)",
    re.I,
)

_DIGIT = re.compile(r"\d")
_DOTTED = re.compile(r"\.[^\W\d_]{2}|://", re.I)
# One of these, in lower case, stands in every text that the slower pattern can match.
_DOCUMENT_HINTS = ("passport", "licen", "national id", "identity card", "id card", "ausweis", "reisepass")
_BIRTH_HINTS = (
    "born",
    "birth",
    "dob",
    "d.o.b",
    "gebor",
    "geburt",
    "né",
    "naiss",
    "naci",
    "nat",
    "nasc",
    "b. ",
    "b.",
    "*",
)
_POSTCODE_HINTS = ("zip", "post", "plz", "postal", "cap")
# In RE2's dialect, for `worth_searching`; every pattern of this module needs one of these.
_MAY_HOLD = r"(?i)\p{Nd}(?:\P{Nd}*\p{Nd}){3}|@|://|www\.|[a-z0-9]\.[a-z]{2}|:[0-9a-f]*:"


def find_patterns(text: str) -> list[Span]:
    """Spans of every pattern kind, in no order; they may overlap (`spans.settle` decides)."""
    found: list[Span] = []
    if "@" in text:
        found += [Span("email", m.start(), m.end(), 0.99, "form") for m in _EMAIL.finditer(text)]
    if _DOTTED.search(text):
        found += _urls(text)
    if text.count(":") > 1 or text.count(".") > 2:
        found += _ips(text)
    # Each kind has a least number of digits, and counting them is cheaper than looking for any.
    digits = len(_DIGIT.findall(text))
    if digits < 4:
        return found
    low = text.lower()
    if digits >= 12:
        found += [*_ibans(text), *_cards(text)]
    if digits >= 6:
        found += _ids(text)
    if digits >= 7:
        found += _phones(text)
    if any(word in low for word in _DOCUMENT_HINTS):
        found += [Span("national_id", m.start(1), m.end(1), 0.85, "named before it") for m in _DOCUMENT.finditer(text)]
    if any(word in low for word in _BIRTH_HINTS):
        found += _births(text)
    if any(word in low for word in _POSTCODE_HINTS):
        found += [Span("postcode", m.start(1), m.end(1), 0.9, "named before it") for m in _POSTCODE.finditer(text)]
    return found


def worth_searching(texts: Sequence[str]) -> list[int]:
    """Positions of the texts that can hold a pattern at all: four digits, an @, a web address, an IPv6 address.

    Most texts have none of these, and one compiled scan over the column says so for a fraction of the search's cost.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pa.array(texts, pa.string())
    except (UnicodeEncodeError, pa.ArrowInvalid):  # lone surrogates cannot be encoded: search everything
        return list(range(len(texts)))
    return [int(at) for at in pc.indices_nonzero(pc.match_substring_regex(column, _MAY_HOLD)).to_pylist()]


def is_reserved(kind: str, value: str) -> bool:
    """Whether the value lies in a range that is nobody's: what pseudonyms are made of, and examples in manuals."""
    if kind in ("email", "url"):
        return (
            re.search(
                r"(?:^|[@./])(?:example\.(?:com|org|net)|[\w-]+\.(?:example|invalid|test))(?:[/:?#]|$)", value, re.I
            )
            is not None
        )
    if kind == "phone":
        return re.search(r"55501\d\d$", re.split(r"(?i)x|e", value)[0].translate(_PLAIN)) is not None
    if kind == "ip":
        network = ipaddress.ip_address(value.split("%")[0])
        return any(network in block for block in _DOCUMENTATION if block.version == network.version) or (
            network.is_loopback or network.is_unspecified
        )
    if kind == "iban":
        return value[2:4] == "00"
    return False


_PLAIN = {ord(c): None for c in " .-/()+"}
_DOCUMENTATION = tuple(
    ipaddress.ip_network(block)
    for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "255.0.0.0/8", "0.0.0.0/8")
)


def _urls(text: str) -> Iterator[Span]:
    for pattern, score in ((_URL, 0.97), (_DOMAIN, 0.85)):
        for match in pattern.finditer(text):
            value = match.group().rstrip(".,;:!?*_'")
            if "." in value:
                yield Span("url", match.start(), match.start() + len(value), score, "form")


def _ips(text: str) -> Iterator[Span]:
    for pattern in (_IP4, _IP6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match.group().split("%")[0])
            except ValueError:
                continue
            before = text[max(0, match.start() - 12) : match.start()]
            if address.version == 4 and re.search(r"\b(?:v|version|release|section|§)\.? ?$", before, re.I):
                continue
            if address.version == 6 and len(match.group()) < 6:
                continue
            yield Span("ip", match.start(), match.end(), 0.95, "a valid address")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        bare = re.sub(r"[ -]", "", match.group()).upper()
        length = checksums.IBAN_LENGTHS.get(bare[:2], 0)
        if not length or len(bare) < length:
            continue
        seen, end = 0, match.start()
        while seen < length:  # what follows the account may look like more of it: "… 06 and" in capitals
            seen += text[end].isalnum()
            end += 1
        if end < match.end() and text[end].isalnum():
            continue
        if checksums.is_iban(bare[:length]):
            yield Span("iban", match.start(), end, 0.99, "mod 97 holds")
        elif re.search(r"\biban\b[^.?!\n]{0,20}$", text[: match.start()][-40:], re.I):
            yield Span("iban", match.start(), end, 0.7, "called an IBAN, its check does not hold")


def _cards(text: str) -> Iterator[Span]:
    for match in _DIGITS.finditer(text):
        value = match.group()
        digits = "".join(_BARE.findall(value))
        before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 40]
        named = _CARD_WORD.search(before) or _CARD_WORD.search(after)
        if checksums.is_card(digits):
            grouped = re.fullmatch(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}", value)
            # One of ten random numbers passes the check: something else must speak for it too.
            if named or grouped or (re.search(r"[^\W\d_]{2}", text) and not _OTHER_NUMBER.search(before)):
                score = 0.98 if named or grouped else 0.75
                yield Span("card", match.start(), match.end(), score, "prefix, length and Luhn hold")
        elif 12 <= len(digits) <= 19 and re.search(
            r"\b(?:card|cc|visa|mastercard|amex)\b(?: ?(?:no|number|nr|is|was|[:#.?!]))* ?$", before, re.I
        ):
            yield Span("card", match.start(), match.end(), 0.6, "called a card, its check does not hold")


# (pattern, check of the value without separators, score, reason, word that must stand nearby or None)
_IDS: tuple[tuple[re.Pattern[str], Callable[[str], bool], str, re.Pattern[str] | None], ...] = (
    (re.compile(r"(?<![\w-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])"), checksums.is_ssn, "form of a US SSN", None),
    (re.compile(r"(?<![\w-])\d{9}(?![\w-])"), checksums.is_ssn, "called an SSN", re.compile(r"\b(?:ssn|social security)\b", re.I)),
    (re.compile(r"(?<!\w)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"), checksums.is_nino, "form of a UK NINO", None),
    (re.compile(r"(?<!\w)(?:\d{8}|[XYZ]-?\d{7})-?[A-Z](?!\w)"), checksums.is_dni, "the letter of a Spanish DNI holds", None),
    (
        re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)"),
        checksums.is_codice_fiscale, "the check of an Italian tax code holds", None,
    ),
    (
        re.compile(r"(?<![\w-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?![\w-])"),
        checksums.is_nir, "the check of a French NIR holds", None,
    ),
    (re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), checksums.is_cpf, "the checks of a Brazilian CPF hold", None),
    (re.compile(r"(?<![\w.-])\d{11}(?![\w-])"), checksums.is_cpf, "called a CPF", re.compile(r"\bcpf\b", re.I)),
    (re.compile(r"(?<![\w.-])\d{11}(?![\w-])"), checksums.is_pesel, "called a PESEL", re.compile(r"\bpesel\b", re.I)),
    (
        re.compile(r"(?<![\w.-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-])"), checksums.is_steuer_id, "called a German tax id",
        re.compile(r"\b(?:steuer-?id\w*|steueridentifikationsnummer|identifikationsnummer|tax id)\b", re.I),
    ),
    (
        re.compile(r"(?<![\w.-])\d{4}[ .]?\d{2}[ .]?\d{3}(?![\w-])"), checksums.is_bsn, "called a BSN",
        re.compile(r"\b(?:bsn|burgerservicenummer)\b", re.I),
    ),
    (re.compile(r"(?<!\w)[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-Y](?!\w)"), checksums.is_hetu, "the check of a Finnish id holds", None),
    (
        re.compile(r"(?<![\w-])(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}(?![\w-])"),
        lambda v: checksums.luhn(v[-10:]), "the check of a Swedish id holds", None,
    ),
    (
        re.compile(r"(?<![\w-])[2-9]\d{3}([ -]?)\d{4}\1\d{4}(?![\w-])"), checksums.is_verhoeff, "called an Aadhaar number",
        re.compile(r"\b(?:aadhaar|aadhar|uidai)\b", re.I),
    ),
    (
        re.compile(r"(?<![\w-])\d{3}([ -]?)\d{3}\1\d{3}(?![\w-])"), checksums.luhn, "called a Canadian SIN",
        re.compile(r"\b(?:SIN|social insurance)\b"),
    ),
    (
        re.compile(r"(?<!\w)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\w)"),
        checksums.is_chinese_id, "the check of a Chinese id holds", None,
    ),
    (re.compile(r"(?<![\w.])756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}(?![\w-])"), checksums.is_ahv, "the check of a Swiss AHV number holds", None),
    (
        re.compile(r"(?<![\w-])\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-[1-8]\d{6}(?![\w-])"), checksums.is_rrn,
        "the check of a South Korean id holds", None,
    ),
    (
        re.compile(r"(?<![\w-])[1-8]\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{6}(?![\w-])"), checksums.is_cnp,
        "called a Romanian CNP", re.compile(r"\b(?:cnp|cod numeric)\b", re.I),
    ),
    (
        re.compile(r"(?<![\w.-])[1-9]\d{10}(?![\w-])"), checksums.is_tckn, "called a Turkish id",
        re.compile(r"\b(?:tckn|t\.?c\.? kimlik|kimlik no)", re.I),
    ),
    (
        re.compile(r"(?<![\w.])\d{2}\.(?:0\d|1[0-2])\.[0-3]\d-\d{3}\.\d{2}(?!\w)"), checksums.is_belgian,
        "the check of a Belgian national number holds", None,
    ),
    (
        re.compile(r"(?<![\w-])\d{3}([ -]?)\d{3}\1\d{4}(?![\w-])"), checksums.is_nhs, "called an NHS number",
        re.compile(r"\bnhs\b", re.I),
    ),
    (
        re.compile(r"(?<!\w)[A-Z]{4}\d{2}(?:0[1-9]|1[0-2])[0-3]\d[HMX][A-Z]{5}[A-Z\d]\d(?!\w)"), checksums.is_curp,
        "the check of a Mexican CURP holds", None,
    ),
    (re.compile(r"(?<![\w.])\d{1,2}\.\d{3}\.\d{3}-[\dkK](?!\w)"), checksums.is_rut, "the check of a Chilean RUT holds", None),
    (
        re.compile(r"(?<![\w-])\d{3} ?\d{3} ?\d{3}(?![\w-])"), checksums.is_tfn, "called a tax file number",
        re.compile(r"\b(?:tfn|tax file)\b", re.I),
    ),
    (
        re.compile(r"(?<![\w-])\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]) ?\d{4} ?[012]\d{2}(?![\w-])"),
        checksums.is_south_african, "called a South African id", re.compile(r"\b(?:id|identity)\b", re.I),
    ),
)  # fmt: skip
_DOCUMENT = re.compile(
    r"\b(?:passport|driver'?s?'? ?licen[cs]e|driving ?licen[cs]e|licen[cs]e|national id|identity card|id card|personalausweis|"
    r"reisepass)(?: ?(?:number|no\.?|nr\.?|#|id|is|was|:))*[\s:]+((?=[A-Z0-9-]*\d[A-Z0-9-]*\d[A-Z0-9-]*\d)[A-Z0-9][A-Z0-9-]{4,19})(?!\w)",
    re.I,
)


def _ids(text: str) -> Iterator[Span]:
    for pattern, check, reason, cue in _IDS:
        if cue is not None and not cue.search(text):
            continue
        for match in pattern.finditer(text):
            value = re.sub(r"[ .]|(?<=\d)-(?=\d{2,4}(?:-|$))|-(?=[A-Z]$)|(?<=^[XYZ])-|-", "", match.group())
            raw = match.group() if "Finnish" in reason else value
            if cue is not None and not cue.search(text[max(0, match.start() - 60) : match.end() + 25]):
                continue
            if check(raw):
                yield Span("national_id", match.start(), match.end(), 0.95, reason)


def _births(text: str) -> Iterator[Span]:
    for match in _BIRTH_DATE.finditer(text):
        if _BIRTH.search(text[max(0, match.start() - 45) : match.start()]):
            yield Span("date_of_birth", match.start(), match.end(), 0.95, "birth is spoken of before it")


def _phones(text: str) -> Iterator[Span]:
    for match in _PLUS.finditer(text):
        yield Span("phone", match.start(), match.end(), 0.96, "international form")
    for match in _PHONE.finditer(text):
        value = match.group()
        groups = _BARE.findall(re.split(r"(?i)x|e|d|p", value)[0])
        digits = sum(map(len, groups))
        if not 7 <= digits <= 15 or _DATE.match(value) or (digits == 7 and len(groups) < 2):
            continue
        before, after = text[max(0, match.start() - 45) : match.start()], text[match.end() : match.end() + 20]
        before, after = before.rsplit("\n\n", 1)[-1], after.split("\n", 1)[0]
        score, reason = _phone_score(value, groups, digits)
        if _PHONE_WORD.search(before) or re.match(
            r"\s*\(?(?:fax|office|mobile|cell|desk|home|work|phone|tel)\b", after, re.I
        ):
            score, reason = score + 0.42, f"{reason}, a phone is spoken of"
        if _OTHER_NUMBER.search(before) or re.search(r"[$€£]\s?$", before):
            score -= 0.5
        if score >= 0.6:
            yield Span("phone", match.start(), match.end(), min(score, 0.95), reason)


def _phone_score(value: str, groups: list[str], digits: int) -> tuple[float, str]:
    """How much a run of digit groups looks like a phone number by itself."""
    lengths = tuple(map(len, groups))
    if value.startswith(("+", "00")) and len(groups) > 1:
        return 0.8, "international form"
    if re.match(r"(?:1[-. ])?\(?\d{3}\)?[-. ]{1,2}\d{3}[-. ]\d{4}", value) and lengths[-2:] == (3, 4):
        return 0.9, "form of a North American number"
    if len(groups) == 1:
        return (0.3 if 8 <= digits <= 12 else 0.0), "length"
    if value[0] in "0(" and 8 <= digits <= 12 and len(groups) <= 6:
        return 0.75, "trunk prefix and groups"
    even = len(groups) >= 3 and set(lengths) == {2}
    if even and digits >= 8:
        return 0.6 if re.search(r"[.\- ]", value) else 0.3, "groups of two"
    thousands = len(groups) >= 2 and all(n == 3 for n in lengths[1:]) and re.search(r"[ .]", value)
    if thousands and lengths[0] <= 3:
        return 0.2, "groups of three"
    return (0.35 if 8 <= digits <= 12 and max(lengths) <= 5 else 0.25), "groups"
