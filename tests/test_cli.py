"""What the command line says when it is stopped."""

from __future__ import annotations

import pytest
import typer

from tunesmith import cli


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stopped: BaseException
) -> None:
    def app(**_: object) -> None:
        raise stopped

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err
