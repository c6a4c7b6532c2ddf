"""A Python package as one file: what a bundle holds, installed with pip and imported like any other package."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from pathlib import Path

from tunesmith.core.files import write_text
from tunesmith.deploy.exporters import EXACT, Made, exporter
from tunesmith.deploy.exporters._parts import copy_base, copy_fitted
from tunesmith.deploy.shipped import Shipped, package_of

VERSION = "1.0"
_INSIDE = "model"  # folder in the package for what is no source
_COMMAND = '''"""The command of this package, and its model."""

from pathlib import Path

from {name}.deploy.runtime import Predictor
from {name}.deploy.runtime import main as answer

HERE = Path(__file__).parent / "{inside}"


def load(**options: object) -> Predictor:
    """The model in this package; options as of Predictor."""
    return Predictor(HERE, **options)


def main() -> int:
    """Answers texts: arguments, or lines of stdin."""
    return answer(HERE)
'''
_USAGE = """`{file}` is the model as a Python package; the rest of this folder only describes it.

```
pip install {file}
{command} "a text"
```

```python
from {name}.command import load

for answer in load().answer(["a text", "another"]):
    print(answer.value, answer.confidence)
```"""


class Wheel:
    """A Python package as one file (pip install), for every system."""

    name = "wheel"
    quantisations = ("none",)
    extra = None

    def why_not(self, model: Shipped) -> tuple[str, str] | None:
        return None

    def write(self, model: Shipped, draft: Path, quantisation: str) -> Made:
        copy_fitted(model, draft, adapter=True)
        copy_base(model, draft)
        name = package_of(model)
        usage = _USAGE.format(file=file_of(name), name=name, command=name.replace("_", "-"))
        return Made("torch", EXACT, usage=usage)

    def pack(self, model: Shipped, draft: Path) -> Path:
        """Put all of the draft into one wheel beside its notices; returns the wheel."""
        name = package_of(model)
        write_text(draft / name / "command.py", _COMMAND.format(name=name, inside=_INSIDE))
        needs = (draft / "requirements.txt").read_text(encoding="utf-8").split()
        wheel = draft / file_of(name)
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            written = []
            for path in sorted(file for file in draft.rglob("*") if file.is_file() and file != wheel):
                inner = path.relative_to(draft)
                if inner.name == "predict.py" or inner.name == "requirements.txt":
                    continue
                place = inner if inner.parts[0] == name else Path(name, _INSIDE, inner)
                made.write(path, place.as_posix())
                written.append(_line(place.as_posix(), path))
            for place_, text in _about(name, model, needs).items():
                made.writestr(place_, text)
                written.append(f"{place_},sha256={_digest(text.encode())},{len(text.encode())}")
            record = f"{name}-{VERSION}.dist-info/RECORD"
            made.writestr(record, "\n".join([*written, f"{record},,", ""]))
        for folder in (name, "fitted", "base", "scope"):
            shutil.rmtree(draft / folder, ignore_errors=True)
        for file in ("predict.py", "export.json"):
            (draft / file).unlink()
        return wheel


def file_of(name: str) -> str:
    """The file name of the wheel of a package."""
    return f"{name}-{VERSION}-py3-none-any.whl"


def _about(name: str, model: Shipped, needs: list[str]) -> dict[str, str]:
    """The files that make a zip archive a wheel (the binary distribution format of the Python packaging guide)."""
    info = f"{name}-{VERSION}.dist-info"
    known = [line.replace("==", ">=") for line in needs]
    meta = ["Metadata-Version: 2.1", f"Name: {name.replace('_', '-')}", f"Version: {VERSION}",
            f"Summary: Answers with the model of the run {model.run}", "Requires-Python: >=3.11",
            *(f"Requires-Dist: {line}" for line in known)]  # fmt: skip
    return {
        f"{info}/METADATA": "\n".join([*meta, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tunesmith\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name.replace('_', '-')} = {name}.command:main\n",
    }


def _line(place: str, path: Path) -> str:
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").digest()
    return f"{place},sha256={_encoded(digest)},{path.stat().st_size}"


def _digest(data: bytes) -> str:
    return _encoded(hashlib.sha256(data).digest())


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


exporter("wheel")(Wheel())
