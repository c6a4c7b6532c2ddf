"""Texts over HTTP, read by the real client: those that *evaluate* wrote, however many are asked at once."""

import asyncio
import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")

from lm_case import context_of, echoes, job_of  # noqa: E402
from web import Server  # noqa: E402

from tunesmith.core.context import Limits as Machine  # noqa: E402
from tunesmith.core.dataset import rows_of  # noqa: E402
from tunesmith.deploy.server.bases import Bases  # noqa: E402
from tunesmith.deploy.server.gate import Limits  # noqa: E402
from tunesmith.deploy.server.served import Loaded, Offered, Store  # noqa: E402
from tunesmith.models.continuous import Writing  # noqa: E402
from tunesmith.models.methods import method as methods  # noqa: E402
from tunesmith.models.resolve import fetch  # noqa: E402
from tunesmith.tasks import task as tasks  # noqa: E402
from tunesmith.training.systems import system as systems  # noqa: E402

TEXTS = [f"The order {i} came late. {more}" for i, more in enumerate(["Nobody called.", "", "It rained.", "Yes"] * 3)]


def _offered(folder, name, rows, *, seed=0, steps=3):  # so few that answers still differ from text to text
    job = job_of(folder, text=True, steps=steps)
    ctx = replace(context_of(folder / name), seed=seed)
    fitted = systems.get("lm").fit(rows, echoes(4, start=90), job, ctx)
    read = lambda: systems.get("lm").load(fitted.folder, fitted.job, ctx)  # noqa: E731
    return Offered(
        name, str(folder), "lm", tasks.get("rewrite"), (), "", ("text",), fitted.folder, None, read,
        lambda: None, lambda given: list(given), ctx,
    )  # fmt: skip


@pytest.fixture(scope="module")
def offers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lm")
    other = rows_of(echoes(24).texts, ["Parcel gone." for _ in range(24)])
    return {"a": _offered(folder, "a", echoes(24)), "b": _offered(folder, "b", other, seed=1)}


@pytest.fixture(scope="module")
def expected(offers):
    """What *evaluate* would write down: the answers of the system itself."""
    return {name: list(o.read().predict(TEXTS, o.ctx).values) for name, o in offers.items()}


@pytest.fixture(scope="module")
def server(offers):
    with Server(offers) as made:
        yield made


def _client(server, kind=openai.OpenAI):
    return kind(base_url=server.address, api_key=server.key, max_retries=0)


def _turns(text):
    return [{"role": "user", "content": text}]


def test_one_at_a_time_answers_are_those_of_evaluate(server, expected):
    client = _client(server)
    for name, values in expected.items():
        for text, value in zip(TEXTS[:6], values, strict=False):
            said = client.chat.completions.create(model=name, messages=_turns(text))
            assert said.choices[0].message.content == (value or "")
            whole = client.completions.create(model=name, prompt=text)
            assert whole.choices[0].text == (value or "")
            assert whole.usage.completion_tokens > 0
    assert len(set(expected["a"])) > 1
    assert expected["a"] != expected["b"]


def test_streams_end_in_the_same_text(server, expected):
    client = _client(server)
    for text, value in zip(TEXTS[:4], expected["a"], strict=False):
        options = {"include_usage": True}
        parts = list(
            client.chat.completions.create(model="a", messages=_turns(text), stream=True, stream_options=options)
        )
        said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        assert said == (value or "")
        assert parts[-1].usage.completion_tokens > 0
        assert [p.choices[0].finish_reason for p in parts if p.choices][-1] in ("stop", "length")


def test_many_at_once_for_two_adapters_get_the_same_answers(server, expected):
    async def ask():
        client = _client(server, openai.AsyncOpenAI)
        wanted = [(name, text) for text in TEXTS for name in ("a", "b")]
        said = await asyncio.gather(
            *(client.chat.completions.create(model=name, messages=_turns(text)) for name, text in wanted)
        )
        return [one.choices[0].message.content for one in said]

    both = [value or "" for pair in zip(expected["a"], expected["b"], strict=True) for value in pair]
    assert asyncio.run(ask()) == both
    ends = time.monotonic() + 10  # an answer is sent before its row is given up
    while server.engine.store.writing() and time.monotonic() < ends:
        time.sleep(0.01)
    assert not server.engine.store.writing()


@pytest.mark.slow
def test_of_many_written_together_995_in_1000_are_those_of_evaluate_and_the_rest_was_a_tie(offers):
    o = offers["a"]
    texts = [
        f"{word} {n} came {how}" for n in range(80) for word, how in (("Order", "late"), ("Box", "broken"), ("It", ""))
    ]
    texts += [f"{'very ' * (n % 40)}late, number {n}" for n in range(160)]
    wanted = [value or "" for value in o.read().predict(texts, o.ctx).values]

    async def ask(server):
        client = _client(server, openai.AsyncOpenAI)
        return await asyncio.gather(
            *(client.chat.completions.create(model="a", messages=_turns(text)) for text in texts)
        )

    with Server(offers, waiting=1000, limits=Limits(at_once=1000, answer_s=600)) as made:
        got = [one.choices[0].message.content for one in asyncio.run(ask(made))]
    assert len(set(wanted)) > 20
    different = [at for at, (a, b) in enumerate(zip(got, wanted, strict=True)) if a != b]
    assert len(different) <= 0.005 * len(texts)
    asked = o.read().answers(o.ctx)
    for at in different:
        assert _closest(asked, texts[at]) < 1e-4


def _closest(asked, text):
    """The least difference between the two likeliest tokens on the way of the answer."""
    ids = asked.asker.ask(text, room=asked.lengths.room).ids
    written = asked.lm.generate([ids], max_new_tokens=asked.lengths.max_new_tokens, break_loops=True)[0].ids
    logits = asked.lm.first_logits([[*ids, *written[:n]] for n in range(len(written) + 1)])
    top = np.sort(logits, axis=1)[:, -2:]
    return float((top[:, 1] - top[:, 0]).min())


def test_limits_and_stops_of_a_request_are_obeyed(server, expected):
    client = _client(server)
    one = client.chat.completions.create(model="a", messages=_turns(TEXTS[0]), max_tokens=2)
    assert one.usage.completion_tokens == 2
    assert one.choices[0].finish_reason == "length"
    whole = next(value for value in expected["a"] if value and len(value) > 6)
    at = next(i for i in range(2, len(whole)) if whole.index(whole[i : i + 2]) == i)
    text, stop = TEXTS[expected["a"].index(whole)], whole[at : at + 2]
    for stream in (False, True):
        said = client.chat.completions.create(model="a", messages=_turns(text), stop=[stop], stream=stream)
        got = "".join(p.choices[0].delta.content or "" for p in said) if stream else said.choices[0].message.content
        assert got == whole[: whole.index(stop)]
    drawn = [
        client.chat.completions.create(model="a", messages=_turns(text), temperature=1.9, seed=s) for s in (1, 1, 2, 3)
    ]
    texts = [one.choices[0].message.content for one in drawn]
    assert texts[0] == texts[1]
    long = "word " * 3000
    with pytest.raises(openai.BadRequestError, match="tokens"):
        client.chat.completions.create(
            model="a", messages=[*_turns(long), {"role": "assistant", "content": "x"}, *_turns("y")]
        )
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="a", messages=[{"role": "assistant", "content": "x"}])


def test_a_client_that_goes_away_stops_the_writing(server):
    client = _client(server)
    stream = client.chat.completions.create(
        model="a", messages=_turns(TEXTS[0]), stream=True, temperature=2.0, max_tokens=900
    )
    next(iter(stream))
    stream.close()
    loaded = server.engine.store.get("a")
    for _ in range(200):
        if not loaded.is_writing:
            break
        time.sleep(0.05)
    assert not loaded.is_writing


def test_adapters_share_the_tensors_of_one_base_and_leave_them_as_they_are(offers):
    store = Store(offers, None)
    a, b = store.get("a").lm, store.get("b").lm
    base = next(iter(store._bases._read.values()))
    held = {name: t.data_ptr() for name, t in base.model.named_parameters()}
    for lm in (a, b):
        mine = {t.data_ptr() for t in lm.model.parameters()}
        assert set(held.values()) <= mine
    assert a.template is b.template
    alone = base.first_logits([[5, 6, 7]])
    a.first_logits([[5, 6, 7]])
    np.testing.assert_array_equal(base.first_logits([[5, 6, 7]]), alone)
    assert not np.allclose(a.first_logits([[5, 6, 7]]), b.first_logits([[5, 6, 7]]))
    store.clear()
    assert not store._bases._read


def test_only_models_asked_lately_keep_their_prompts(offers, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.served._KEPT_TOKENS", 3)
    store = Store(offers, None)
    a = store.get("a")
    one = Writing([5, 6, 7, 8], 2, lambda _: None)
    a.writer.join(one)
    store.get("b")
    assert a.is_writing  # what is being written is left alone
    while a.is_writing:
        a.writer.step()
    assert a.writer.bytes > 0
    assert a.kept_tokens == 4
    store.get("b")
    assert a.kept_tokens == a.writer.bytes == 0


def test_a_method_that_changes_the_base_gets_one_of_its_own(offers, tmp_path, monkeypatch):
    o = offers["a"]
    bases = Bases()
    lm = fetch(o.read().job.lm, o.ctx.emit)
    first = bases.open(lm, Machine(), o.folder / "adapter")
    monkeypatch.setattr("tunesmith.deploy.server.bases._BESIDE", ())
    second = bases.open(lm, Machine(), o.folder / "adapter")
    assert not {t.data_ptr() for t in first.model.parameters()} & {t.data_ptr() for t in second.model.parameters()}
    np.testing.assert_allclose(first.first_logits([[5, 6]]), second.first_logits([[5, 6]]), atol=1e-5)
    assert "lora" in methods.names()


def test_modules_go_from_one_adapter_to_the_next_and_answer_as_if_they_were_made_for_it(offers, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.served._ADAPTERS", 1)
    alone = {name: Store(offers, None).get(name).lm.first_logits([[5, 6, 7]]) for name in offers}
    store = Store(offers, None)
    modules = store.get("a").lm.model
    for name in ("b", "a", "b"):
        loaded = store.get(name)
        assert store.loaded == (name,)
        assert loaded.lm.model is modules  # nothing was made anew
        np.testing.assert_array_equal(loaded.lm.first_logits([[5, 6, 7]]), alone[name])
    store.clear()
    assert not store._bases._waiting


def test_an_adapter_that_writes_keeps_its_place_and_one_that_went_keeps_its_prompts(offers, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.served._ADAPTERS", 1)
    store = Store(offers, None)
    a = store.get("a")
    a.writer.join(Writing(list(range(5, 45)), 2, lambda _: None))
    store.get("b")
    assert store.loaded == ("a", "b")
    while a.is_writing:
        a.writer.step()
    store.get("b")
    assert store.loaded == ("b",)
    again = store.get("a")
    assert again is not a
    assert again.kept_tokens == 40
    one = Writing(list(range(5, 45)), 2, lambda _: None)
    again.writer.join(one)
    assert one.reused == 39  # all but the last, whose logits are wanted
    monkeypatch.setattr("tunesmith.deploy.server.served._KEPT_TOKENS", 3)
    while again.is_writing:
        again.writer.step()
    store.get("b")
    assert not store._prompts


def test_when_many_adapters_have_written_at_once_no_more_hang_than_may(offers, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.served._ADAPTERS", 2)
    many = {f"{name}{at}": replace(o, name=f"{name}{at}") for at in range(3) for name, o in offers.items()}
    alone = {name: Store(offers, None).get(name).lm.first_logits([[5, 6, 7]]) for name in offers}
    store = Store(many, None)
    loaded = {}
    for name in many:
        loaded[name] = store.get(name)
        loaded[name].writer.join(_short())
    assert store.loaded == tuple(many)  # what writes keeps its place
    for one in loaded.values():
        while one.is_writing:
            one.writer.step()
    last = next(reversed(many))
    assert store.get(last) is loaded[last]  # being asked again is enough for the others to go
    assert store.loaded == (list(many)[-2], last)
    for name in [*many, *many]:
        np.testing.assert_array_equal(store.get(name).lm.first_logits([[5, 6, 7]]), alone[name[0]])
        assert len(store.loaded) == 2


def _short():
    return Writing(list(range(5, 25)), 2, lambda _: None)


@pytest.mark.slow
def test_more_adapters_at_once_than_hang_on_the_base_answer_as_alone(offers, tmp_path, monkeypatch):
    monkeypatch.setattr("tunesmith.deploy.server.served._ADAPTERS", 1)
    wide = tmp_path / "wide"  # another form: the same weights, which count twice
    shutil.copytree(offers["a"].folder, wide)
    config = json.loads((wide / "adapter" / "adapter_config.json").read_text())
    config["lora_alpha"] *= 2
    (wide / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    o, given = offers["a"], offers["a"].read()
    read = lambda: systems.get("lm").load(wide, given.job, o.ctx)  # noqa: E731
    three = {**offers, "wide": replace(o, name="wide", folder=wide, read=read)}
    wanted = {name: [value or "" for value in o.read().predict(TEXTS, o.ctx).values] for name, o in three.items()}
    assert len({tuple(values) for values in wanted.values()}) == 3

    async def ask():
        client = _client(made, openai.AsyncOpenAI)
        asked = [(name, text) for text in TEXTS for name in three]
        said = await asyncio.gather(
            *(client.chat.completions.create(model=name, messages=_turns(text)) for name, text in asked)
        )
        return [one.choices[0].message.content for one in said]

    with Server(three) as made:
        together = asyncio.run(ask())
        turns = [
            _client(made).chat.completions.create(model=name, messages=_turns(text)).choices[0].message.content
            for text in TEXTS[:3]
            for name in three
        ]
    assert together == [values[at] for at in range(len(TEXTS)) for values in wanted.values()]
    assert turns == together[: len(turns)]


def test_of_another_form_no_modules_are_taken(offers, tmp_path):
    o = offers["a"]
    bases, folder = Bases(), fetch(o.read().job.lm, o.ctx.emit)
    other = tmp_path / "adapter"
    shutil.copytree(o.folder / "adapter", other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": config["lora_alpha"] * 2}))
    first = bases.open(folder, Machine(), o.folder / "adapter")
    modules = first.model
    bases.release(first, keep=True)
    bases.open(folder, Machine(), None)
    second = bases.open(folder, Machine(), other)
    assert second.model is not modules
    third = bases.open(folder, Machine(), o.folder / "adapter")
    assert not np.allclose(third.first_logits([[5, 6]]), second.first_logits([[5, 6]]))


def test_what_was_not_asked_for_longest_is_forgotten_when_memory_is_short(offers):
    store = Store(offers, 1)
    first = store.get("a")
    assert isinstance(first, Loaded)
    store.get("b")
    assert store.loaded == ("b",)
    assert (
        store.get("a").answer(TEXTS[:1], None)[0].value
        == offers["a"].read().predict(TEXTS[:1], offers["a"].ctx).values[0]
    )
    assert store.loaded == ("a",)
    store.load_what_fits()
    assert store.loaded == ("a",)
    store.clear()
    plenty = Store(offers, None)
    plenty.load_what_fits()
    assert plenty.loaded == ("a", "b")


def test_an_answer_longer_than_it_may_take_is_broken_off(offers):
    with Server(offers, limits=Limits(answer_s=0.05)) as made:
        client = _client(made)
        with pytest.raises(openai.InternalServerError) as refused:
            client.chat.completions.create(model="a", messages=_turns(TEXTS[0]), temperature=2.0, max_tokens=900)
        assert refused.value.status_code == 503
