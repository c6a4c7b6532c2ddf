from __future__ import annotations

import csv

import pytest
from conftest import shared_data
from hypothesis import given
from hypothesis import strategies as some

from tunesmith.tasks.facts import Fact, fact_f1, facts, stem, unsupported_numbers, unsupported_rate

NOTE = (
    "Mr. John Smith is a 76-year-old man who takes 20 mg of lisinopril since May 3rd, 2024. "
    "He denies chest pain, fever, or cough. Blood pressure was 120/80 mmHg at 10:30, and he paid $1,200."
)


def found(text: str, kind: str) -> set[tuple[str, str | None]]:
    return {(fact.value, fact.unit) for fact in facts(text).weights if fact.kind == kind}


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("a 76-year-old man", "76", "year"),
        ("he is 76 years old", "76", "year"),
        ("she is seventy-six years old", "76", "year"),
        ("a 76 y/o woman", "76", None),
        ("took 20mg", "20", "mg"),
        ("took 20 milligrams", "20", "mg"),
        ("twelve percent of them", "12", "%"),
        ("12% of them", "12", "%"),
        ("it was $1,200.50 then", "1200.5", "$"),
        ("it was $5 million", "5000000", "$"),
        ("two hundred and fifty pills", "250", "tablet"),
        ("one hour later", "1", "hour"),
        ("pressure of 120/80 mmHg", "120/80", "mmhg"),
        ("dose of 0.50 mg", "0.5", "mg"),
        ("Dosis 3,5 kg", "3.5", "kg"),
        ("cost 1.234.567,5 there", "1234567.5", None),
        ("three to five days", "5", "day"),
        ("about 5k users", "5000", None),
        ("-3 degrees", "-3", "degree"),
        ("version 1.2.3", "1.2.3", None),
    ],
)
def test_numbers_are_read_with_their_units(text, value, unit):
    assert (value, unit) in found(text, "number")


def test_one_as_a_pronoun_is_no_number():
    assert not found("one of them, and no one else", "number")


@pytest.mark.parametrize(
    "text", ["May 3rd, 2024", "3 May 2024", "the 3rd of May 2024", "05/03/2024", "2024-05-03", "3.5.2024"]
)
def test_dates_in_any_writing_are_one(text):
    assert ("3/5", None) in found(f"since {text}", "date")
    assert ("2024", None) in found(f"since {text}", "number")


def test_clock_times_are_dates():
    assert found("at 08:15 and at 5pm", "date") == {("8:15", None), ("5 pm", None)}


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("no fever", {"fever"}),
        ("denies chest pain, fever, or cough but has nausea", {"chest", "pain", "fever", "cough"}),
        ("He has no history of stroke.", {"history", "strok"}),
        ("fever: no", {"fever"}),
        ("The culture was negative.", {"cultur"}),
        ("negative for malaria", {"malaria"}),
        ("Doctor: Any fever? Patient: No, but I cough.", {"fever"}),
        ("Any fever?\nNo.", {"fever"}),
        ("No, I have a cough.", set()),
        ("She doesn't smoke.", {"smok"}),
        ("ohne Fieber", {"fieber"}),
    ],
)
def test_negations_reach_what_they_deny(text, denied):
    assert {value for value, _ in found(text, "negation")} == denied


def test_names_weigh_more_than_terms_and_keep_their_weight_where_they_open_a_sentence():
    weights = facts("We saw Schmidt with an MRI of the knee.").weights
    assert weights[Fact("term", "schmidt")] == 3
    assert weights[Fact("term", "mri")] == 3
    assert weights[Fact("term", "knee")] == 1
    assert facts("John Smith came.").weights[Fact("term", "john")] == 3
    # "Smith" opens the answer, so there it looks like any word; against the reference it still weighs 3
    assert fact_f1("Jones came", "We met Smith, who came") < 0.3


def test_the_worked_example_of_the_docstring():
    reference, answer = "76-year-old man, no fever.", "A 67-year-old man without fever."
    assert fact_f1(answer, reference) == pytest.approx(4 / 7)
    assert unsupported_rate(answer, reference) == pytest.approx(3 / 7)
    assert unsupported_numbers(answer, reference) == (1, 1)


@given(some.text(max_size=300))
def test_a_text_states_its_own_facts(text):
    assert fact_f1(text, text) == 1.0


@given(some.text(max_size=300))
def test_copying_states_nothing_new(text):
    assert unsupported_rate(text, text) == 0.0


@given(some.integers(0, 60))
def test_a_lead_cut_anywhere_states_nothing_new(words):
    cut = " ".join(NOTE.split()[:words])
    assert unsupported_rate(cut, NOTE) == 0.0
    assert unsupported_rate(cut + "…", NOTE) == 0.0


@given(some.text(max_size=120), some.text(max_size=120))
def test_scores_are_shares(answer, other):
    assert 0.0 <= fact_f1(answer, other) <= 1.0
    assert 0.0 <= unsupported_rate(answer, other) <= 1.0
    assert fact_f1(answer, other) == pytest.approx(fact_f1(other, answer))


CORRUPTIONS = [
    ("76-year-old", "67-year-old"),
    ("20 mg", "20 g"),
    ("20 mg", "200 mg"),
    ("May 3rd", "May 4th"),
    ("2024", "2023"),
    ("120/80", "120/90"),
    ("10:30", "11:30"),
    ("$1,200", "$1,300"),
    ("denies chest pain", "reports chest pain"),
    ("Smith", "Jones"),
    ("lisinopril", "metformin"),
]


@pytest.mark.parametrize(("right", "wrong"), CORRUPTIONS)
def test_a_corrupted_fact_costs_in_both_scores(right, wrong):
    assert right in NOTE
    corrupted = NOTE.replace(right, wrong)
    assert fact_f1(corrupted, NOTE) < 1.0
    assert unsupported_rate(corrupted, NOTE) > 0.0


@pytest.mark.parametrize(("right", "wrong"), CORRUPTIONS)
def test_a_second_corruption_costs_more_than_the_first(right, wrong):
    once = NOTE.replace("lisinopril since", "aspirin since").replace("metformin", "aspirin")
    twice = once.replace(right, wrong)
    if twice != once:
        assert fact_f1(twice, NOTE) < fact_f1(once, NOTE)
        assert unsupported_rate(twice, NOTE) > unsupported_rate(once, NOTE)


def test_a_lost_no_is_found_although_the_word_is_in_the_source():
    assert unsupported_rate("He has fever.", "He has no fever.") > 0
    assert unsupported_rate("Fever.", "No fever.") == 1.0
    assert fact_f1("He has fever.", "He has no fever.") == 0.0


def test_a_number_without_a_unit_on_one_side_agrees():
    assert fact_f1("I am 76", "76 years") == 1.0
    assert fact_f1("76 mg", "76 years") == 0.0


def test_empty_and_missing_answers():
    assert fact_f1(None, "fever") == 0.0
    assert fact_f1("", "") == 1.0
    assert fact_f1("", "fever") == 0.0
    assert unsupported_rate(None, "fever") == 0.0
    assert unsupported_rate("", "fever") == 0.0
    assert unsupported_numbers(None, "fever 3") == (0, 0)


def test_other_scripts_have_facts_too():
    assert fact_f1("患者没有发烧", "患者没有发烧") == 1.0
    assert fact_f1("患者发烧", "患者没有发烧") < 1.0
    assert fact_f1("Пациент принял 20 мг", "Пациент принял 30 мг") < 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("headaches", "headache"),
        ("allergies", "allergy"),
        ("stopped", "stop"),
        ("coughing", "coughs"),
        ("Smith's", "smith"),
    ],
)
def test_forms_of_a_word_share_a_stem(one, other):
    assert stem(one) == stem(other)


def test_real_notes_copying_is_supported_and_people_are_not_always():
    with (shared_data("mts_dialog") / "MTS-Dialog-ValidationSet.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    sources, notes = [r["dialogue"] for r in rows], [r["section_text"] for r in rows]
    assert all(unsupported_rate(s, s) == 0 for s in sources)
    assert all(unsupported_rate(" ".join(s.split()[:40]), s) == 0 for s in sources)
    own = sum(unsupported_rate(n, s) for n, s in zip(notes, sources, strict=True)) / len(rows)
    others = sum(unsupported_rate(n, s) for n, s in zip(notes[1:], sources, strict=False)) / (len(rows) - 1)
    assert own < 0.6 < 0.8 < others


@given(some.text(alphabet="0123456789.,-/:% kmMaysthuno$٣²", max_size=60))
def test_odd_numbers_never_stop_the_scoring(text):
    assert fact_f1(text, text) == 1.0
    assert unsupported_rate(text, text) == 0.0


def test_a_number_beyond_floating_point_is_its_digits():
    assert found("9" * 400, "number") == {("9" * 400, None)}
    assert fact_f1("9" * 400 + " thousand", "9" * 399 + " thousand") == 0.0


def test_long_numbers_are_not_rounded():
    assert fact_f1("account 12345678901234567", "account 12345678901234568") < 1
    assert found("2.50 million", "number") == {("2500000", None)}
    assert found("٣٫ 007 and 0.10", "number") == {("3", None), ("7", None), ("0.1", None)}
