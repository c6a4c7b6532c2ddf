"""How far values lie from the bulk of a table, where a crowd of strangers must not move the bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAD_TO_SD = 1.4826


def robust_z(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) distances above the median in standard deviations of the bulk (by the median absolute deviation)."""
    middle = np.median(values)
    spread = _MAD_TO_SD * np.median(np.abs(values - middle))
    z: NDArray[np.float64] = (values - middle) / max(float(spread), 1e-9 * max(1.0, abs(float(middle))))
    return z


def far_out(
    values: NDArray[np.floating], *, least: float, deviations: float = 5.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(positions of values that are both above `least` and that many robust deviations out, (n,) scores 0 to 1).

    A score of 0.5 lies on the line; it rises towards 1 with the value.
    """
    z = robust_z(values)
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) * _MAD_TO_SD
    line = max(least, middle + deviations * spread)
    width = max(abs(line - middle) / deviations, 1e-9)
    beyond = (values - line) / width
    score = 0.5 + 0.5 * beyond / (1 + np.abs(beyond))
    return np.flatnonzero((values > least) & (z > deviations)), score
