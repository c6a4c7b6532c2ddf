"""Personal data: what is found, what is not, and what stands in its place."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, MissingExtra
from tunesmith.core.findings import load_findings
from tunesmith.data.comparison import compare
from tunesmith.data.curate import CurateOptions, clean, curate
from tunesmith.data.personal import checksums
from tunesmith.data.personal.find import common_words, find
from tunesmith.data.personal.patterns import worth_searching
from tunesmith.data.personal.pseudonyms import Pseudonyms
from tunesmith.data.personal.report import described, places_in
from tunesmith.data.personal.spans import KINDS, PATTERN_KINDS, Span
from tunesmith.data.steps import step
from tunesmith.evaluation.curation_page import render_profile


def kinds(text: str) -> dict[str, str]:
    return {text[s.start : s.end]: s.kind for s in find(text)}


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("write to jane.roe@firm.co.uk today", "jane.roe@firm.co.uk", "email"),
        ("see https://firm.se/a?b=1.", "https://firm.se/a?b=1", "url"),
        ("it came from 81.2.69.142", "81.2.69.142", "ip"),
        ("it came from 2a02:26f0:9a::1", "2a02:26f0:9a::1", "ip"),
        ("pay to DE89 3704 0044 0532 0130 00 now", "DE89 3704 0044 0532 0130 00", "iban"),
        ("my card 4111 1111 1111 1111 is lost", "4111 1111 1111 1111", "card"),
        ("call me on +44 20 7946 0123 please", "+44 20 7946 0123", "phone"),
        ("ring (212) 867-5309 x12", "(212) 867-5309 x12", "phone"),
        ("my SSN is 219-09-9999", "219-09-9999", "national_id"),
        ("DNI 12345678Z", "12345678Z", "national_id"),
        ("CPF 529.982.247-25", "529.982.247-25", "national_id"),
        ("I was born on 3/4/1972", "3/4/1972", "date_of_birth"),
        ("my zip code is 90210", "90210", "postcode"),
        ("send it to 12 Baker Street, please", "12 Baker Street", "address"),
        ("ich wohne Hauptstraße 5", "Hauptstraße 5", "address"),
        ("my name is Ruth Okafor", "Ruth Okafor", "person"),
        ("we moved here from Qualbeck", "Qualbeck", "place"),
        ("I work for Northbeam Ltd", "Northbeam Ltd", "organisation"),
    ],
)
def test_each_kind_is_found_where_it_stands(text: str, value: str, kind: str) -> None:
    assert kinds(text).get(value) == kind


@pytest.mark.parametrize(
    "text",
    [
        "the total of 1 250 000 units was sold on 2021-04-12",
        "Why was my payment declined? The refund has not arrived yet.",
        "order 4111111111111112 has version 1.2.3.4",
        "write to someone@example.com or call 212-555-0123",
        "",
        "\ud800 \x00 ::: @@@ +++",
    ],
)
def test_ordinary_text_and_reserved_ranges_are_left_alone(text: str) -> None:
    assert find(text) == []


def test_random_digit_strings_are_neither_persons_nor_cards_nor_phones() -> None:
    draw = random.Random(0)
    for _ in range(1000):
        assert find("".join(draw.choices("0123456789", k=draw.randint(4, 20)))) == []


def test_check_digits_against_published_examples() -> None:
    assert checksums.luhn("79927398713")
    assert not checksums.luhn("79927398710")
    assert checksums.is_iban("GB82WEST12345698765432")
    assert not checksums.is_iban("GB82WEST12345698765431")
    assert checksums.is_verhoeff("2363")
    assert not checksums.is_verhoeff("2364")
    assert checksums.is_codice_fiscale("RSSMRA85T10A562S")
    assert checksums.is_pesel("44051401359")
    assert checksums.is_bsn("111222333")
    assert checksums.is_hetu("131052-308T")
    assert checksums.is_steuer_id("86095742719")
    assert checksums.is_nino("AB123456C")
    assert not checksums.is_nino("BG123456C")
    assert checksums.is_chinese_id("11010519491231002X")
    assert checksums.is_ahv("7569217076985")
    assert checksums.is_tckn("10000000146")
    assert checksums.is_nhs("9434765919")
    assert checksums.is_rut("123456785")
    assert checksums.is_tfn("123456782")
    assert checksums.is_south_african("8001015009087")
    assert checksums.is_belgian("85073003328")
    assert checksums.is_curp("HEGG560427MVZRRL04")
    assert not checksums.is_curp("HEGG560427MVZRRL05")


@given(st.text(max_size=120))
def test_spans_lie_in_the_text_in_order_and_do_not_overlap(text: str) -> None:
    end = 0
    for span in find(text):
        assert end <= span.start < span.end <= len(text)
        assert span.kind in KINDS
        assert 0 < span.score <= 1
        end = span.end


def test_a_pseudonym_is_the_same_throughout_and_of_the_same_form() -> None:
    texts = ["Maria Ortega called from 212-867-5309", "Ortega wrote: maria@firm.com, 4111 1111 1111 1111"]
    made = Pseudonyms(texts, seed=1)
    whole, family = made.of("person", "Maria Ortega"), made.of("person", "Ortega")
    assert whole.split()[1] == family
    assert "Maria" not in whole
    assert made.of("person", "ORTEGA") == family.upper()
    assert made.of("phone", "212-867-5309")[3:11] == "-555-01" + made.of("phone", "2128675309")[8:9]
    assert made.of("email", "maria@firm.com").endswith("@example.com")
    card = made.of("card", "4111 1111 1111 1111")
    assert [len(group) for group in card.split()] == [4, 4, 4, 4]
    assert not checksums.is_card(card.replace(" ", ""))
    assert made.of("iban", "DE89370400440532013000")[:4] == "DE00"


def test_pseudonyms_depend_on_seed_and_data_and_nothing_else() -> None:
    name = "Maria Ortega"
    assert Pseudonyms(["a"], seed=1).of("person", name) == Pseudonyms(["a"], seed=1).of("person", name)
    others = {Pseudonyms([text], seed=seed).of("email", "m@firm.com") for text in "ab" for seed in (1, 2)}
    assert len(others) == 4


def test_different_people_stay_different() -> None:
    made = Pseudonyms(["x"])
    values = [f"Person{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(200)]
    assert len({made.of("person", value) for value in values}) == 200


def test_a_reason_holds_places_and_no_values() -> None:
    spans = [Span("email", 3, 9, 0.99, "form"), Span("person", 12, 20, 0.8, "a title before it")]
    assert places_in(described(spans)) == [("email", 3, 9), ("person", 12, 20)]


NAMES = {"personal": {"kinds": ["all"]}}


def dataset(task: str = "classify") -> Dataset:
    texts = ["my name is Maria Ortega", "Maria Ortega is here, maria@firm.com", "nothing at all", "call 212-867-5309"]
    targets = ["cards", "cash", "cards", None] if task == "classify" else ["Hello Maria", "She came.", "no", None]
    table = pa.table(
        {
            "id": pa.array(range(4), pa.int64()),
            "text": texts,
            "target": pa.array(targets, pa.string()),
            "split": ["train", "train", "dev", "test"],
            "weight": pa.array([1.0] * 4, pa.float32()),
            "group": pa.array(range(4), pa.int64()),
            "file": ["a.csv"] * 4,
            "row": pa.array(range(1, 5), pa.int64()),
            "hash": ["0" * 16] * 4,
            "changes": pa.array([[]] * 4, pa.list_(pa.string())),
        }
    )
    return Dataset(table, task, ("cards", "cash") if task == "classify" else (), ("text",), "label")


def test_replacing_keeps_one_person_one_person_in_every_split_of_a_labelled_task() -> None:
    after, found = clean(dataset(), ["personal"], settings=NAMES, policy={"personal": "fix"})
    texts = after.table["text"].to_pylist()
    name = texts[0].removeprefix("my name is ")
    assert name != "Maria Ortega"
    assert texts[1].startswith(name)
    assert "555-01" in texts[3]
    assert texts[2] == "nothing at all"
    assert after.table["changes"].to_pylist()[0] == ["personal"]
    assert [f.action for f in found] == ["fix"] * 3
    assert clean(after, ["personal"], settings=NAMES, policy={"personal": "fix"})[1] == []


def test_where_answers_are_texts_they_are_searched_and_replaced_alike() -> None:
    after, found = clean(dataset("rewrite"), ["personal"], settings=NAMES, policy={"personal": "fix"})
    assert [(f.id, f.field, f.action) for f in found] == [
        (0, "text", "fix"), (1, "text", "fix"), (3, "text", "flag"), (0, "target", "fix"),
    ]  # fmt: skip
    name = after.table["text"][0].as_py().removeprefix("my name is ").split()[0]
    assert after.table["target"][0].as_py() == f"Hello {name}"
    assert "sealed" in found[2].reason
    assert found[2].fix is None


def test_curate_flags_patterns_by_default_and_writes_no_value_where_it_need_not(tmp_path: Path) -> None:
    data = dataset()
    after = curate(data, CurateOptions(steps=("personal",)), Context(tmp_path))
    assert after.table["text"].to_pylist() == data.table["text"].to_pylist()
    found = load_findings(tmp_path / "findings.parquet")
    assert [(f.id, f.action) for f in found] == [(1, "flag"), (3, "flag")]
    told = " ".join(f.reason for f in found) + str(dict(after.notes))
    assert not any(value in told for value in ("Maria", "Ortega", "firm.com", "867"))
    assert "firm.com" not in (found[0].fix or "firm.com")
    assert after.notes["personal"]["kinds"] == {
        "email": {"values": 1, "texts": 1}, "phone": {"values": 1, "texts": 1},
    }  # fmt: skip
    assert "person" in after.notes["personal"]["not_searched"]
    assert after.notes["personal"]["cannot_find"]
    assert after.notes["test_flags"] == {}


def test_curate_replaces_where_policy_says_so(tmp_path: Path) -> None:
    options = CurateOptions(steps={"personal": {"kinds": ["email"]}}, policy={"personal": "fix"})
    after = curate(dataset(), options, Context(tmp_path))
    texts = after.table["text"].to_pylist()
    assert "@example.com" in texts[1]
    assert texts[3] == "call 212-867-5309"
    assert after.notes["personal"]["replaced"] == 1


def test_an_unknown_kind_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'emial'") as refused:
        curate(dataset(), CurateOptions(steps={"personal": {"kinds": ["emial"]}}), Context(tmp_path))
    assert "email" in (refused.value.hint or "")


def test_what_the_quick_look_passes_over_holds_no_pattern() -> None:
    texts = [
        "nothing", "a.b", "at 5 o'clock", "write to a@firm.com", "see firm.com", "www.firm.com", "fe80::1", "11:22",
        "call 2128675309", "DNI 12345678Z", "AB 12 34 56 C", "zip code: 1234", "b. 1/2/70", "\u0661\u0662\u0663\u0664",
    ]  # fmt: skip
    looked = set(worth_searching(texts))
    assert [text for at, text in enumerate(texts) if at not in looked and find(text, kinds=PATTERN_KINDS)] == []
    assert {3, 4, 5, 6, 8, 9, 10} <= looked
    assert worth_searching(["\ud800 a@firm.com"]) == [0]


def test_presidio_is_an_extra_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtra) as missing:
        step.get("personal")(dataset(), engine="presidio")
    assert "tunesmith[pii]" in (missing.value.hint or "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Dear Ms. Quillfeather,\n\nyour order is on its way", "Quillfeather"),
        ('"We are ready," said Ifeoma Nwosu on Monday.', "Ifeoma Nwosu"),
        ("Kind regards,\nBjarki Steinsson", "Bjarki Steinsson"),
        ("Our founders are Lindiwe Zulu, Omar Haddad and Jun Takeda.", "Jun Takeda"),
        ("my name is priya raman", "priya raman"),
        ("Our nurse Amara Eze called. Later Eze wrote again.", "Eze"),
    ],
)
def test_people_are_told_by_lists_shape_and_the_words_around(text: str, value: str) -> None:
    assert kinds(text).get(value) == "person"


@pytest.mark.parametrize(
    "text",
    [
        "How do I exchange GBP for AUD, and what is SEPA?",
        "Stocks Rise as Oil Prices Fall After Storm",
        "The patient takes Metformin and Lisinopril for Diabetes.",
        "Yahoo, Nokia and Hitachi reported a loss. Tata Steel Ltd did not.",
        "Oops, I forgot. Yikes! Haha.",
        "A Reporting Entity must tell the Regulator about a Petroleum Activity.",
        "Please open Settings and choose Privacy.",
        "THE CARD WAS NOT DELIVERED AND NOBODY HELPS ME",
    ],
)
def test_other_capitals_are_no_people(text: str) -> None:
    assert "person" not in kinds(text).values()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "Ship it to 4411 Kestrel Creek Road\nApt. 12\nDunmore\nIreland 55312 please",
            "4411 Kestrel Creek Road\nApt. 12\nDunmore\nIreland 55312",
        ),
        (
            "Meet me at the corner of 5 Alder Street and Rua das Flores 12.",
            "the corner of 5 Alder Street and Rua das Flores 12",
        ),
        ("wir wohnen Am Weiher 7, 80331 München", "Am Weiher 7, 80331 München"),
        ("P.O. Box 77 is ours", "P.O. Box 77"),
    ],
)
def test_addresses_are_seen_whole(text: str, address: str) -> None:
    found = next(value for value, kind in kinds(text).items() if kind == "address")
    assert found.rstrip(".,") == address


@pytest.mark.parametrize(
    "text",
    [
        "No. 12 Harlow State Beats Mexico St. 41",
        "we are hiring 250 people and a 2-1 victory at home",
        "i have a 60 gig drive and a 120 gb remote drive",
        "it ended 3-2 on September 28 in the first round",
    ],
)
def test_scores_and_measures_are_no_addresses(text: str) -> None:
    assert "address" not in kinds(text).values()


def test_the_data_itself_says_which_words_are_no_names() -> None:
    texts = [
        "press Blorp now",
        "a blorp and a blorp",
        "the blorp is red",
        "one blorp",
        "can i pay with ZQX here",
        "tell me whether ZQX is ok",
        "where has my ZQX gone",
    ]
    assert common_words(texts) == {"blorp", "zqx"}


def test_values_of_a_small_score_can_be_passed_over() -> None:
    assert step.get("personal")(dataset(), kinds=("all",), least=0.99) == step.get("personal")(
        dataset(), kinds=("email",), least=0.99
    )
    assert {f.id for f in step.get("personal")(dataset(), kinds=("all",))} == {0, 1, 3}


def test_the_profile_says_what_was_found_and_what_was_not_looked_for(tmp_path: Path) -> None:
    data = dataset()
    after = curate(data, CurateOptions(steps=("personal",)), Context(tmp_path))
    profile = compare(data, after, load_findings(tmp_path / "findings.parquet"))
    told = profile["personal"]
    assert {one["kind"]: one["values"] for one in told["found"]} == {"e-mail address": 1, "phone number": 1}
    assert "person" in told["not_searched"]
    page = render_profile({**profile, "title": "t"})
    assert "Not searched: postal address, postal code, person" in page
    assert "names that are everyday words" in page


def test_a_profile_without_the_step_says_nothing_of_personal_data(tmp_path: Path) -> None:
    data = dataset()
    after = curate(data, CurateOptions(steps=("repair",)), Context(tmp_path))
    assert compare(data, after, [])["personal"] == {}
