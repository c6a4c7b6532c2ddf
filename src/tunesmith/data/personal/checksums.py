"""Check digits of payment cards, bank accounts and national ids. Each takes the bare value, without separators."""

from __future__ import annotations

import re

# Length of an IBAN by country (ISO 13616 registry).
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip

# Issuer prefixes and the lengths they come in: Visa, Mastercard, Amex, Diners, Discover, JCB, UnionPay, Maestro.
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-59]|[689]\d)\d{11,16}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|(?:352[89]|35[3-8]\d)\d{12,15}"
    r"|(?:2131|1800)\d{11}|62\d{14,17}|(?:50[0-9]{2}|5[6-9]\d\d|6[0-9]{3})\d{8,15}"
)


def luhn(digits: str) -> bool:
    """The mod 10 check of ISO/IEC 7812-1, annex B."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        if at % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """A known issuer's prefix and length, and the Luhn check."""
    return _CARD.fullmatch(digits) is not None and luhn(digits)


def is_iban(value: str) -> bool:
    """Country, its length, and the remainder 1 of ISO 7064 mod 97-10 after moving the first four to the end."""
    if IBAN_LENGTHS.get(value[:2]) != len(value) or not value.isascii() or not value.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1


def is_ssn(digits: str) -> bool:
    """US social security number, 9 digits: areas 000, 666 and 9xx, group 00 and serial 0000 are never issued."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_nino(value: str) -> bool:
    """UK national insurance number: prefix rules only, it has no check digit."""
    return (
        re.fullmatch(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", value) is not None
        and value[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")
    )  # fmt: skip


def is_dni(value: str) -> bool:
    """Spanish DNI or NIE: the letter is the number mod 23."""
    number = str("XYZ".find(value[0])) + value[1:-1] if value[0] in "XYZ" else value[:-1]
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def is_codice_fiscale(value: str) -> bool:
    """Italian tax code, 16 characters: odd places by table, even ones by value, mod 26."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    total = 0
    for at, character in enumerate(value[:15]):
        number = int(character) if character.isdigit() else ord(character) - 65
        total += odd[number] if at % 2 == 0 else number
    return chr(65 + total % 26) == value[15]


def is_nir(digits: str) -> bool:
    """French social security number, 15 digits: the last two are 97 - (the rest mod 97)."""
    return digits[0] in "12" and 97 - int(digits[:13]) % 97 == int(digits[13:])


def is_cpf(digits: str) -> bool:
    """Brazilian CPF, 11 digits, two weighted mod 11 checks."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(digits[at]) * (length + 1 - at) for at in range(length))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def is_pesel(digits: str) -> bool:
    """Polish PESEL, 11 digits: weights 1 3 7 9, mod 10, and a possible day of birth."""
    total = sum(int(d) * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    return total % 10 == 0 and 1 <= int(digits[4:6]) <= 31 and 1 <= int(digits[2:4]) % 20 <= 12


def is_bsn(digits: str) -> bool:
    """Dutch BSN, 9 digits: weights 9..2 and -1, mod 11."""
    return sum(int(d) * w for d, w in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0


def is_hetu(value: str) -> bool:
    """Finnish personal identity code DDMMYYCNNNX: the number mod 31 gives X."""
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31] == value[10]


def is_verhoeff(digits: str) -> bool:
    """The Verhoeff check (Indian Aadhaar, 12 digits), over the dihedral group of order ten."""
    check = 0
    for at, digit in enumerate(reversed(digits)):
        permuted = int(digit)
        for _ in range(at % 8):
            permuted = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[permuted]
        check = _dihedral(check, permuted)
    return check == 0


def _dihedral(a: int, b: int) -> int:
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b - 5) % 5 + 5
    return (a - 5 - b) % 5 + 5 if b < 5 else (a - b) % 5


def is_steuer_id(digits: str) -> bool:
    """German tax id, 11 digits: ISO 7064 mod 11,10, no leading zero."""
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])


def is_chinese_id(value: str) -> bool:
    """Chinese resident id, 17 digits and one of 0-9X: ISO 7064 mod 11-2 (GB 11643)."""
    total = sum(int(c) * (2 ** (17 - at) % 11) for at, c in enumerate(value[:17]))
    return "10X98765432"[total % 11] == value[17].upper()


def is_ahv(digits: str) -> bool:
    """Swiss AHV number, 13 digits that begin with 756: the check of EAN-13."""
    total = sum(int(c) * (3 if at % 2 else 1) for at, c in enumerate(digits[:12]))
    return digits.startswith("756") and (10 - total % 10) % 10 == int(digits[12])


def is_rrn(digits: str) -> bool:
    """South Korean resident registration number, 13 digits, issued before October 2020."""
    total = sum(int(c) * weight for c, weight in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False))
    return (11 - total % 11) % 10 == int(digits[12])


def is_cnp(digits: str) -> bool:
    """Romanian personal code, 13 digits."""
    rest = sum(int(c) * int(weight) for c, weight in zip(digits, "279146358279", strict=False)) % 11
    return digits[0] != "0" and (1 if rest == 10 else rest) == int(digits[12])


def is_tckn(digits: str) -> bool:
    """Turkish identity number, 11 digits: the tenth from the odd and even places, the eleventh from all before."""
    d = [int(c) for c in digits]
    return d[0] != 0 and (7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10 == d[9] and sum(d[:10]) % 10 == d[10]


def is_belgian(digits: str) -> bool:
    """Belgian national number, 11 digits: 97 less the first nine modulo 97, with a 2 before them from 2000 on."""
    check = int(digits[9:])
    return check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def is_nhs(digits: str) -> bool:
    """UK NHS number, 10 digits: mod 11 with weights 10 to 2."""
    rest = 11 - sum(int(c) * (10 - at) for at, c in enumerate(digits[:9])) % 11
    return rest != 10 and rest % 11 == int(digits[9])


def is_curp(value: str) -> bool:
    """Mexican CURP, 18 characters: its letters numbered with an Ñ after N, weights 18 to 2, mod 10."""
    signs = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(signs.index(c) * (18 - at) for at, c in enumerate(value[:17]))
    return (10 - total % 10) % 10 == int(value[17])


def is_rut(value: str) -> bool:
    """Chilean RUT, digits and a check of 0-9K: mod 11 with weights 2 to 7 from the right."""
    total = sum(int(c) * (2 + at % 6) for at, c in enumerate(reversed(value[:-1])))
    return "0K987654321"[total % 11] == value[-1].upper()


def is_tfn(digits: str) -> bool:
    """Australian tax file number, 9 digits: mod 11 with the weights 1 4 3 7 5 8 6 9 10."""
    return sum(int(c) * weight for c, weight in zip(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10), strict=True)) % 11 == 0


def is_south_african(digits: str) -> bool:
    """South African id, 13 digits: citizenship 0 to 2 in the eleventh place, and mod 10."""
    return digits[10] in "012" and luhn(digits)
