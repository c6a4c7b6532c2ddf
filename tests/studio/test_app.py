"""Routes and pages of the application, without a browser and behind no gate."""

import pytest

pytest.importorskip("nicegui", reason="the extra 'studio' is not installed")
from fastapi.testclient import TestClient

from tunesmith.core.run import Run
from tunesmith.studio.app import application
from tunesmith.studio.served import Served


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio")
    for name in ("runs/mine", "outside/theirs"):
        with Run(root / name) as run:
            run.emit("note", text="x")
        (root / name / "report.html").write_text(f"<p>report of {name}</p>")
    (root / "runs" / "linked").symlink_to(root / "outside" / "theirs")
    return root


@pytest.fixture(scope="module")
def client(place):
    return TestClient(application(Served.of(place / "runs")))


def test_a_report_is_served_where_no_script_can_run(client):
    answer = client.get("/runs/mine/report.html")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-scripts" not in policy


@pytest.mark.parametrize("name", ["linked", "..%2Foutside%2Ftheirs", "%2e%2e", "theirs", "none"])
def test_a_run_outside_the_folder_is_not_served(client, name):
    assert client.get(f"/runs/{name}/report.html").status_code == 404


def test_a_report_that_is_a_link_is_not_served(client, place):
    with Run(place / "runs" / "sly"):
        pass
    (place / "secret.txt").write_text("secret")
    (place / "runs" / "sly" / "report.html").symlink_to(place / "secret.txt")
    assert client.get("/runs/sly/report.html").status_code == 404


def test_the_style_sheet_and_script_are_local(client):
    assert "--accent" in client.get("/assets/studio.css").text
    for asset in ("/assets/studio.css", "/assets/studio.js"):
        assert "http" not in client.get(asset).text
