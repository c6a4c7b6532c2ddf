"""Real, very small models for tests: two layers, about 50,000 parameters, a tokenizer trained on real sentences.

They are ordinary transformers folders, read by the same code as the big ones (source "folder"). Their weights are
random: enough to check that something runs, is finite, is equal or moves, not that it is any good. `schooled_lm` has
learned a few hundred steps and has something to forget.
Nothing here is used outside tests.
"""

from __future__ import annotations

from tunesmith.testing.tiny import schooled_lm, tiny_encoder, tiny_lm

__all__ = ["schooled_lm", "tiny_encoder", "tiny_lm"]
