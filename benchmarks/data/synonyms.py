"""Words that can stand for each other, and words that cannot: a table of our own, in two halves.

The first half of each was used for development, the second only for what is reported.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from plants import Make

SAME_DEVELOPED = {
    "buy": "purchase", "bought": "purchased", "wrong": "incorrect", "fix": "repair", "begin": "start",
    "help": "assist", "quick": "fast", "quickly": "rapidly", "show": "display", "get": "obtain", "got": "received",
    "need": "require", "want": "wish", "asked": "requested", "money": "cash", "lost": "misplaced",
    "cancel": "revoke", "free": "complimentary", "company": "firm", "companies": "firms", "rise": "increase",
    "fell": "dropped", "said": "stated", "profit": "earnings", "shares": "stocks", "talks": "negotiations",
    "killed": "slain", "happy": "glad", "send": "dispatch", "sent": "dispatched", "new": "brand-new",
    "change": "alter", "charged": "billed", "fee": "charge", "fees": "charges", "delivery": "shipment",
    "allowed": "permitted", "reason": "cause", "problem": "issue", "shop": "store", "children": "kids",
    "movie": "film", "attack": "assault", "attacks": "assaults", "leader": "head", "plans": "intends",
    "deal": "agreement", "big": "large", "small": "little", "answer": "reply", "funny": "amusing",
    "terrible": "awful", "great": "excellent", "picture": "image", "song": "tune", "car": "automobile",
    "doctor": "physician", "job": "position", "workers": "employees", "nation": "country", "city": "town",
    "result": "outcome", "results": "outcomes", "choose": "select", "close": "shut", "end": "finish",
    "error": "mistake", "people": "persons", "angry": "furious", "sick": "ill", "boy": "lad",
}  # fmt: skip
SAME_HELD_OUT = {
    "verify": "confirm", "identity": "identification", "update": "refresh", "believe": "think", "receive": "get",
    "received": "obtained", "tell": "inform", "declined": "rejected", "stolen": "robbed", "find": "locate",
    "phone": "telephone", "call": "ring", "trip": "journey", "start": "begin", "started": "began", "make": "produce",
    "keep": "retain", "happened": "occurred", "happen": "occur", "ability": "capability", "pretty": "beautiful",
    "smart": "clever", "hard": "difficult", "easy": "simple", "love": "adore", "hate": "detest", "boring": "dull",
    "amazing": "astonishing", "actors": "performers", "story": "tale", "ending": "conclusion", "watch": "view",
    "government": "administration", "president": "head of state", "police": "officers", "troops": "soldiers",
    "hospital": "clinic", "pain": "ache", "patient": "sick person", "medication": "medicine", "surgery": "operation",
    "physician": "doctor", "denies": "negates", "history": "record", "mother": "mum", "father": "dad",
    "video": "clip", "website": "site", "channel": "station", "subscribe": "sign up", "guys": "folks",
    "must": "has to", "requirements": "obligations", "requirement": "obligation", "ensure": "guarantee",
    "provide": "supply", "required": "needed", "appropriate": "suitable", "relevant": "pertinent",
    "obtain": "acquire", "shall": "must", "types": "kinds", "type": "kind", "cause": "bring about",
    "causes": "brings about", "help": "aid", "animals": "beasts", "humans": "people", "made": "produced",
    "form": "create", "produce": "create", "large": "big", "important": "significant", "price": "cost",
    "product": "item", "sound": "noise", "works": "functions", "use": "employ", "uses": "employs",
    "little": "small", "entire": "whole", "often": "frequently", "nearly": "almost", "maybe": "perhaps",
    "enough": "sufficient", "several": "various", "huge": "enormous", "scared": "frightened",
}  # fmt: skip
OTHER_DEVELOPED = {
    "buy": "sell", "bought": "sold", "begin": "end", "quick": "slow", "send": "receive", "sent": "received",
    "rise": "fall", "fell": "rose", "profit": "loss", "happy": "sad", "big": "small", "lost": "found",
    "card": "account", "cash": "cheque", "apple": "google", "visa": "mastercard", "atm": "shop", "pin": "password",
    "week": "month", "weeks": "months", "day": "year", "days": "hours", "morning": "evening", "today": "yesterday",
    "physical": "virtual", "activate": "block", "company": "government", "attack": "rescue", "movie": "book",
    "song": "poem", "love": "hate", "great": "terrible", "mother": "father", "boy": "girl", "dog": "cat",
    "north": "south", "win": "lose", "won": "lost", "open": "close", "top": "bottom", "first": "last",
    "dollar": "euro", "pounds": "euros", "oil": "gas", "court": "school", "army": "party", "football": "tennis",
    "increase": "decrease", "gains": "losses", "success": "failure", "city": "river", "home": "office",
}  # fmt: skip
OTHER_HELD_OUT = {
    "transfer": "refund", "payment": "withdrawal", "declined": "accepted", "pending": "completed", "fee": "discount",
    "address": "name", "identity": "income", "phone": "passport", "exchange": "interest", "currency": "country",
    "arrived": "left", "good": "bad", "best": "worst", "funny": "sad", "actors": "directors", "acting": "music",
    "video": "book", "channel": "page", "subscribe": "comment", "patient": "doctor", "left": "right",
    "pain": "fever", "blood": "urine", "chest": "back", "daily": "weekly", "history": "future", "brother": "sister",
    "hot": "cold", "water": "oil", "plants": "animals", "heat": "light", "earth": "sun", "summer": "winter",
    "increases": "decreases", "strong": "weak", "fast": "slow", "young": "old", "client": "auditor",
    "fund": "bank", "risk": "price", "report": "contract", "before": "after", "maximum": "minimum", "high": "low",
    "higher": "lower", "always": "sometimes", "screen": "battery", "camera": "phone", "cheap": "expensive",
    "night": "day", "friday": "monday", "president": "senator", "iraq": "iran", "red": "blue", "white": "black",
}  # fmt: skip
_MOST_EXCHANGED = 3
_FEWEST_WORDS = 5


def exchanged(table: Mapping[str, str], most: int = _MOST_EXCHANGED) -> Make:
    """Up to `most` words that are in the table, exchanged; None where there is none, or fewer than five words."""

    def make(text: str, draw: random.Random) -> str | None:
        words = re.split(r"(\W+)", text)
        known = [at for at, word in enumerate(words) if word.lower() in table]
        if not known or sum(map(str.isalpha, words)) < _FEWEST_WORDS:
            return None
        for at in sorted(draw.sample(known, min(len(known), draw.randint(1, most)))):
            other = table[words[at].lower()]
            words[at] = other.capitalize() if words[at][:1].isupper() else other
        return "".join(words)

    return make
