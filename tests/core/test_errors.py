import pickle

from tunesmith.core.errors import ConfigError, MissingExtra, SealedError, TunesmithError, did_you_mean, nearest


def test_the_nearest_name_ignores_case_and_forgives_a_typo():
    assert nearest("Lorra", ["lora", "ia3"]) == "lora"
    assert nearest("zzz", ["lora", "ia3"]) is None


def test_a_hint_lists_the_names_when_none_is_near_and_they_are_few():
    assert did_you_mean("zzz", ["lora", "ia3"]) == "Known: ia3, lora"
    assert did_you_mean("zzz", [f"name{i}" for i in range(40)]) is None


def test_every_error_keeps_message_and_hint_across_processes():
    for error in (ConfigError("what", hint="do"), SealedError("shut"), MissingExtra("pdf", "ingest")):
        again = pickle.loads(pickle.dumps(error))  # how concurrent.futures carries it
        assert isinstance(again, TunesmithError)
        assert (again.message, again.hint, again.exit_code) == (error.message, error.hint, 2)
