"""Runs in the peer's environment: which planted pairs datasketch's MinHash LSH finds, at the threshold best for it.

    python peer_datasketch.py JOB.json     # {"texts": [...], "marks": [[kind, place, place], ...]}

Prints {"hits": {kind: count}, "cpu_s": ..., "threshold": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from datasketch import MinHash, MinHashLSH

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
SHINGLE = 5


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts, marks = job["texts"], job["marks"]
    began = time.process_time()
    hashes = MinHash.bulk([_shingles(text) for text in texts], num_perm=128)
    hashing = time.process_time() - began
    best: tuple[float, float, Counter[str], float] = (-1.0, 0.0, Counter(), 0.0)
    for threshold in THRESHOLDS:
        began = time.process_time()
        lsh = MinHashLSH(threshold=threshold, num_perm=128)
        for at, minhash in enumerate(hashes):
            lsh.insert(at, minhash)
        near = {at: set(lsh.query(hashes[at])) for at in {own for _, own, _ in marks}}
        hits: Counter[str] = Counter()
        for kind, own, other in marks:
            hits[kind] += other in near[own] and hashes[own].jaccard(hashes[other]) >= threshold
        right = sum(count for kind, count in hits.items() if not kind.startswith("not: "))
        false = sum(count for kind, count in hits.items() if kind.startswith("not: "))
        copies = sum(not kind.startswith("not: ") for kind, _, _ in marks)
        f1 = 2 * right / (right + false + copies)
        best = max(best, (f1, threshold, hits, hashing + time.process_time() - began), key=lambda found: found[0])
    print(json.dumps({"hits": best[2], "cpu_s": best[3], "threshold": best[1]}))


def _shingles(text: str) -> list[bytes]:
    return [text[at : at + SHINGLE].encode() for at in range(max(1, len(text) - SHINGLE + 1))]


if __name__ == "__main__":
    main()
