"""Which base models the user's wishes leave."""

from __future__ import annotations

from tunesmith.models.spec import ModelSpec, reason_against

SPEC = ModelSpec("hub", "org/name", "lm", licence="Apache-2.0", languages=("en", "fr"))


def test_a_permissive_licence_is_known_by_its_name_whatever_its_case() -> None:
    assert reason_against(SPEC, licence="permissive") == ""
    assert "not a permissive one" in reason_against(
        ModelSpec("hub", "o/n", "lm", licence="Gemma"), licence="permissive"
    )
    assert "unknown" in reason_against(ModelSpec("hub", "o/n", "lm"), licence="permissive")


def test_named_licences_and_languages_are_held_to() -> None:
    assert reason_against(SPEC, licence=("apache-2.0", "mit"), languages=("FR",)) == ""
    assert "not MIT" in reason_against(SPEC, licence=("MIT",))
    assert "not known to speak sw" in reason_against(SPEC, languages=("en", "sw"))
    assert reason_against(ModelSpec("hub", "o/n", "lm"), languages=("en",)).endswith(
        "(it speaks nothing that is recorded)"
    )
