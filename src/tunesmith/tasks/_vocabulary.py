"""Words that facts.py knows: units, numbers, months, negations, function words. Data, not rules.

English, with the negations of some neighbours. A word that is missing here is read as a plain word.
"""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNITS = {
    unit: words.split()[0]
    for words in (
        "year years yr yrs yo y/o y.o. year-old years-old",
        "month months mo mos month-old months-old",
        "week weeks wk wks week-old weeks-old",
        "day days day-old days-old",
        "hour hours hr hrs",
        "minute minutes min mins",
        "second seconds sec secs",
        "mg milligram milligrams",
        "mcg µg microgram micrograms",
        "g gram grams gm",
        "kg kilogram kilograms kilo kilos",
        "lb lbs pound pounds",
        "oz ounce ounces",
        "ml milliliter milliliters millilitre millilitres cc",
        "l liter liters litre litres",
        "mm millimeter millimeters millimetre millimetres",
        "cm centimeter centimeters centimetre centimetres",
        "m meter meters metre metres",
        "km kilometer kilometers kilometre kilometres",
        "inch inches",
        "foot feet ft",
        "mile miles",
        "% percent percentage pct",
        "$ dollar dollars usd",
        "€ euro euros eur",
        "£ gbp sterling",
        "degree degrees ° °c °f celsius fahrenheit",
        "bpm beats",
        "mmhg",
        "kb", "mb", "gb", "tb",
        "kw", "kwh", "mw", "hz", "mhz", "ghz", "mph", "kcal", "calories",
        "time times",
        "pack packs",
        "tablet tablets pill pills capsule capsules",
        "puff puffs",
        "unit units",
        "point points",
        "people persons person",
        "hundred", "thousand", "million", "billion",
    )
    for unit in words.split()
}  # fmt: skip
AGES = ("year", "month", "week", "day")
_UNDER_TWENTY = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""
_FROM_TWENTY = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: value for value, word in enumerate(_UNDER_TWENTY.split())}
TENS = {word: 10 * tens for tens, word in enumerate(_FROM_TWENTY.split(), start=2)}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
            "september sept sep", "october oct", "november nov", "december dec",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
NEGATIONS = _set(
    "no not never none without cannot neither nor nope denies denied deny denying negative absent absence lacks "
    "lacking unable isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't won't can't couldn't "
    "shouldn't wouldn't nicht kein keine keinen keiner nie ohne pas aucun aucune jamais sans sin nunca ningún "
    "ninguna não sem niet geen zonder nej ikke inte"
)
# A negation reaches back only through these: "fever: no", "chest pain was negative".
REACHES_BACK = _set("no none nope negative absent denied")
ENDS_NEGATION = _set(
    "but however although though except has have had having reports reported reporting complains complained "
    "presents presented admits admitted states stated because since which who she he they patient aber mais pero "
    "mas besides instead"
)
REACH = 8  # tokens a negation holds for; longer clauses rarely stay under it
FUNCTION = _set(
    "the and for are was were been being this that these those with from into onto over under about above below "
    "after before between during through while when where what which who whom whose why how all any both each few "
    "more most other others some such only own same than then too very can could may might must shall should will "
    "would have has had having does did doing done not nor but yet you your yours yourself they them their theirs "
    "his her hers him she its our ours out off again further once here there just also because until upon per via "
    "get got gets getting let lets going goes went come came like really okay yes yeah well right sure please thank "
    "thanks kind sort lot lots much many thing things something anything nothing everything someone anyone way one "
    "him himself herself itself themselves myself ourselves now ever still even though although however since "
    "either neither every another around without within along among across against toward towards"
)
