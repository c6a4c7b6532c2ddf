"""Family names of many languages, their endings and particles, lower case."""

from __future__ import annotations

from tunesmith.data.personal.given import read

SURNAMES = frozenset(read("family.txt").split())

# Endings that mark a family name where the word itself is in no list. Four letters or more must stand before them.
_ENDINGS = """
ová sson dóttir dottir ssen nsen rsen ski ska czyk wicz owicz evich ovich ović ević escu enko chuk ova eva ova yan ian
oğlu oglu mann poulos idis akis stein berg ström quist qvist shvili dze ellini etti ucci ález érez ínez opez quez
ovsky evsky
"""
ENDINGS = tuple(_ENDINGS.split())

_PARTICLES = "van von der den de del della di da dos das du la le al el bin ibn ter ten af zu zur abu ben o' mac mc st "
PARTICLES = frozenset(_PARTICLES.split())
