"""Words of which one cannot stand for another, however close their vectors are: opposites, and members of one set.

Sentence encoders place them near each other, for they stand in the same places. A list of our own; English only.
"""

from __future__ import annotations

from collections.abc import Sequence

_SETS = """
second seconds / minute minutes / hour hours / day days / night nights / week weeks / month months / year years / decade
daily / weekly / monthly / yearly annual
today / yesterday / tomorrow / tonight
morning / noon / afternoon / evening / midnight
spring / summer / autumn / winter
monday / tuesday / wednesday / thursday / friday / saturday / sunday
north northern / south southern / east eastern / west western
left / right
top / bottom / middle
front / rear
first / last / next / previous
always / never / sometimes / often / rarely
all / none / some
open opens opened / close closes closed shut
buy buys bought purchase purchased / sell sells sold / rent rented
win wins won / lose loses lost
send sends sent / receive receives received
give gives gave / take takes took
borrow borrowed / lend lent
import imports imported / export exports exported
deposit deposits deposited / withdraw withdraws withdrew withdrawn withdrawal
debit debited / credit credited
income / expense expenses
profit profits gain gains / loss losses
rise rises rose rising increase increases increased grow grows / fall falls fell falling decrease decreases decreased
raise raises raised / lower lowers lowered reduce reduced
up / down
more / fewer less
most / least
maximum / minimum
high higher highest / low lower lowest
big bigger large larger huge / small smaller tiny little
long longer / short shorter
fast faster quick quickly / slow slower slowly
early earlier / late later
old older / new newer young younger
hot warm / cold cool
dry / wet
light / dark heavy
hard difficult / easy simple
strong stronger / weak weaker
good better best great excellent / bad worse worst terrible awful
happy glad / sad unhappy
love loves loved like likes / hate hates hated dislike
accept accepts accepted approve approved / reject rejects rejected refuse refused decline declined deny denied
allow allowed permit permitted / forbid forbidden ban banned
agree agrees / disagree disagrees
activate activated enable enabled / deactivate deactivated disable disabled block blocked
lock locked / unlock unlocked
connect connected / disconnect disconnected
start starts started begin begins began / stop stops stopped end ends ended finish finished
arrive arrives arrived / leave leaves left depart
enter / exit
push / pull
attack attacks attacked / defend defends defended rescue
live alive / dead die died
success succeed succeeded / failure fail failed
true / false
positive / negative
same / different
safe / dangerous
cheap / expensive
rich / poor
full / empty
public / private
physical / virtual
male man men boy boys / female woman women girl girls
mother mom mum / father dad
brother brothers / sister sisters
son sons / daughter daughters
husband / wife
dog dogs / cat cats / horse horses
red / blue / green / yellow / black / white / orange / purple / brown / pink
dollar dollars usd / euro euros eur / pound pounds gbp / yen / rupee rupees / franc francs / yuan
visa / mastercard / amex
apple / google / microsoft / amazon / samsung
app / website
cash / cheque cheques check / card cards
oil / gas / coal / gold
army / navy
president / senator / minister / mayor
doctor doctors physician / nurse nurses / patient patients
football / tennis / baseball / basketball / hockey / cricket / golf
book books / movie movies film films / song songs
inside indoors / outside outdoors
before / after
with / without
including / excluding
acute / chronic
benign / malignant
systolic / diastolic
arm arms / leg legs / hand hands / foot feet
"""

_place: dict[str, list[tuple[int, int]]] = {}
for _row, _line in enumerate(_SETS.strip().splitlines()):
    for _side, _words in enumerate(_line.split("/")):
        for _word in _words.split():
            _place.setdefault(_word, []).append((_row, _side))


def opposed(lost: Sequence[str], gained: Sequence[str]) -> bool:
    """Whether a word went for another of the same set: "buy" for "sell", "week" for "month"."""
    for one in lost:
        for row, side in _place.get(one, ()):
            for other in gained:
                if any(row == r and side != s for r, s in _place.get(other, ())):
                    return True
    return False
