"""Countries, states and large cities, lower case, and what names of places end in."""

from __future__ import annotations

from tunesmith.data.personal.given import read

_COUNTRIES = """
afghanistan|albania|algeria|andorra|angola|antigua and barbuda|argentina|armenia|australia|austria|azerbaijan|bahamas|
bahrain|bangladesh|barbados|belarus|belgium|belize|benin|bhutan|bolivia|bosnia and herzegovina|bosnia|botswana|brazil|
brunei|bulgaria|burkina faso|burundi|cambodia|cameroon|canada|cape verde|central african republic|chad|chile|china|
colombia|comoros|congo|costa rica|croatia|cuba|cyprus|czech republic|czechia|denmark|djibouti|dominica|
dominican republic|east timor|ecuador|egypt|el salvador|england|equatorial guinea|eritrea|estonia|eswatini|ethiopia|
faroe islands|fiji|finland|france|gabon|gambia|germany|ghana|gibraltar|great britain|greece|greenland|grenada|guatemala|
guinea|guyana|haiti|honduras|hong kong|hungary|iceland|india|indonesia|iran|iraq|ireland|israel|italy|ivory coast|
jamaica|japan|kazakhstan|kenya|kiribati|kosovo|kuwait|kyrgyzstan|laos|latvia|lebanon|lesotho|liberia|libya|
liechtenstein|lithuania|luxembourg|macau|macedonia|madagascar|malawi|malaysia|maldives|mali|malta|mauritania|mauritius|
mexico|micronesia|moldova|monaco|mongolia|montenegro|morocco|mozambique|myanmar|namibia|nepal|netherlands|
new zealand|nicaragua|niger|nigeria|north korea|north macedonia|northern ireland|norway|oman|pakistan|palau|palestine|
panama|papua new guinea|paraguay|peru|philippines|poland|portugal|puerto rico|qatar|romania|russia|rwanda|samoa|
san marino|saudi arabia|scotland|senegal|serbia|seychelles|sierra leone|singapore|slovakia|slovenia|solomon islands|
somalia|south africa|south korea|south sudan|spain|sri lanka|sudan|suriname|sweden|switzerland|syria|taiwan|tajikistan|
tanzania|thailand|the netherlands|togo|tonga|trinidad and tobago|tunisia|turkey|turkmenistan|uganda|ukraine|
united arab emirates|united kingdom|united states|united states of america|uruguay|uzbekistan|vanuatu|vatican city|
venezuela|vietnam|wales|yemen|zambia|zimbabwe|deutschland|österreich|schweiz|suisse|italia|españa|brasil|méxico|
nederland|danmark|norge|sverige|suomi|polska|česko|magyarország|usa|u.s.a.|u.s.|uk|u.k.|uae
"""

_REGIONS = """
alabama|alaska|arizona|arkansas|california|colorado|connecticut|delaware|florida|hawaii|idaho|illinois|indiana|iowa|
kansas|kentucky|louisiana|maine|maryland|massachusetts|michigan|minnesota|mississippi|missouri|montana|nebraska|nevada|
new hampshire|new jersey|new mexico|new york|north carolina|north dakota|ohio|oklahoma|oregon|pennsylvania|rhode island|
south carolina|south dakota|tennessee|texas|utah|vermont|west virginia|wisconsin|wyoming|ontario|quebec|québec|
british columbia|alberta|manitoba|saskatchewan|nova scotia|new brunswick|newfoundland|queensland|new south wales|
tasmania|bavaria|bayern|saxony|sachsen|hessen|catalonia|andalusia|tuscany|sicily|lombardy|normandy|brittany|provence|
yorkshire|kent|essex|sussex|surrey|devon|cornwall|lancashire|europe|asia|africa|siberia|scandinavia|bengal|punjab|
kerala|gujarat|crimea|patagonia|balkans|caribbean
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.replace("\n", " ").split("|") if name.strip())


COUNTRIES = _names(_COUNTRIES)
PLACES = COUNTRIES | _names(_REGIONS) | _names(read("towns.txt"))
# Longest names by their first word, so that a run of words is compared with few names.
LONGEST = max(len(name.split()) for name in PLACES)

_ENDINGS = """
burg burgh bourg borough ville stad grad gorod ham hampton ton town ford shire field mouth port haven hafen furt dorf
heim hausen kirchen bruck brück rud stead wick wich vik vík nes sund köping borg mora holm lund landia land stan pur
abad nagar palli polis poli owice owo ovice beach bay creek falls springs heights village valley city eyri
"""
ENDINGS = tuple(_ENDINGS.split())
