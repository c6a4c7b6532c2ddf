"""Run by the interpreter that has cleanlab: its three label quality scores of given probabilities and labels.

PYTHON label_errors_peer.py FOLDER        # NAME.npz -> NAME.said.npz
"""

import sys
from pathlib import Path

import cleanlab
import numpy as np
from cleanlab.rank import get_label_quality_scores

SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")

for path in sorted(Path(sys.argv[1]).glob("*.npz")):
    given = np.load(path)
    p, codes = given["p"], given["codes"]
    said = {name: get_label_quality_scores(codes, p, method=name, adjust_pred_probs=False) for name in SCORES}
    np.savez(path.with_name(f"{path.stem}.said.npz"), version=cleanlab.__version__, **said)
