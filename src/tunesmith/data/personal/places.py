"""Countries, states and large cities, lower case, and what names of places end in."""

from __future__ import annotations

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

_CITIES = """
london|paris|berlin|madrid|rome|roma|vienna|wien|prague|praha|budapest|warsaw|warszawa|lisbon|lisboa|dublin|brussels|
bruxelles|amsterdam|rotterdam|the hague|utrecht|antwerp|ghent|copenhagen|københavn|aarhus|aalborg|odense|oslo|bergen|
trondheim|stavanger|stockholm|göteborg|gothenburg|malmö|uppsala|helsinki|espoo|tampere|turku|oulu|reykjavik|reykjavík|
hamburg|munich|münchen|cologne|köln|frankfurt|stuttgart|düsseldorf|dortmund|essen|leipzig|dresden|hanover|hannover|
nuremberg|nürnberg|bremen|bonn|mannheim|karlsruhe|freiburg|heidelberg|zürich|zurich|geneva|genève|basel|bern|lausanne|
lucerne|graz|linz|salzburg|innsbruck|klagenfurt|milan|milano|naples|napoli|turin|torino|palermo|genoa|genova|bologna|
florence|firenze|venice|venezia|verona|bari|catania|barcelona|valencia|seville|sevilla|zaragoza|málaga|bilbao|granada|
porto|coimbra|braga|lyon|marseille|toulouse|nice|nantes|strasbourg|montpellier|bordeaux|lille|rennes|reims|grenoble|
athens|thessaloniki|istanbul|ankara|izmir|antalya|sofia|plovdiv|bucharest|cluj|belgrade|zagreb|split|ljubljana|maribor|
sarajevo|skopje|tirana|bratislava|košice|brno|ostrava|kraków|krakow|cracow|gdańsk|gdansk|wrocław|poznań|łódź|katowice|
vilnius|kaunas|riga|tallinn|tartu|minsk|kyiv|kiev|lviv|odessa|kharkiv|moscow|saint petersburg|st petersburg|novosibirsk|
kazan|manchester|birmingham|liverpool|leeds|sheffield|bristol|newcastle|nottingham|leicester|glasgow|edinburgh|aberdeen|
cardiff|swansea|belfast|cork|galway|limerick|oxford|cambridge|brighton|southampton|portsmouth|plymouth|york|coventry|
new york city|los angeles|chicago|houston|phoenix|philadelphia|san antonio|san diego|dallas|san jose|jacksonville|
fort worth|columbus|charlotte|indianapolis|san francisco|seattle|denver|boston|el paso|nashville|detroit|
oklahoma city|portland|las vegas|memphis|louisville|baltimore|milwaukee|albuquerque|tucson|fresno|sacramento|atlanta|
kansas city|miami|omaha|oakland|minneapolis|tulsa|tampa|new orleans|cleveland|honolulu|anaheim|pittsburgh|cincinnati|
st. louis|saint louis|st louis|orlando|buffalo|salt lake city|washington dc|brooklyn|manhattan|hollywood|silicon valley|
toronto|montreal|montréal|vancouver|calgary|edmonton|ottawa|winnipeg|halifax|mexico city|guadalajara|monterrey|havana|
bogotá|medellín|lima|quito|caracas|santiago|buenos aires|rosario|montevideo|são paulo|sao paulo|rio de janeiro|brasília|
salvador|recife|fortaleza|curitiba|porto alegre|cairo|alexandria|casablanca|rabat|marrakesh|tunis|algiers|tripoli|lagos|
abuja|accra|nairobi|mombasa|kampala|dar es salaam|addis ababa|khartoum|johannesburg|cape town|durban|pretoria|harare|
lusaka|dakar|abidjan|tel aviv|jerusalem|haifa|beirut|damascus|amman|baghdad|tehran|riyadh|jeddah|mecca|dubai|abu dhabi|
doha|kuwait city|kabul|karachi|lahore|islamabad|delhi|new delhi|mumbai|bombay|bangalore|bengaluru|chennai|hyderabad|
kolkata|calcutta|pune|ahmedabad|jaipur|kathmandu|dhaka|colombo|yangon|bangkok|chiang mai|phuket|hanoi|
ho chi minh city|saigon|phnom penh|kuala lumpur|jakarta|bali|manila|cebu|beijing|shanghai|guangzhou|shenzhen|wuhan|
chengdu|nanjing|tianjin|taipei|seoul|busan|pyongyang|tokyo|osaka|kyoto|yokohama|nagoya|sapporo|fukuoka|hiroshima|sydney|
melbourne|brisbane|perth|adelaide|canberra|hobart|darwin|auckland|wellington|christchurch|dunedin|nuuk
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.replace("\n", " ").split("|") if name.strip())


COUNTRIES = _names(_COUNTRIES)
PLACES = COUNTRIES | _names(_REGIONS) | _names(_CITIES)
# Longest names by their first word, so that a run of words is compared with few names.
LONGEST = max(len(name.split()) for name in PLACES)

_ENDINGS = """
burg burgh bourg borough ville stad grad gorod ham hampton ton town ford shire field mouth port haven hafen furt dorf
heim hausen kirchen bruck brück rud stead wick wich vik vík nes sund köping borg mora holm lund landia land stan pur
abad nagar palli polis poli owice owo ovice beach bay creek falls springs heights village valley city eyri
"""
ENDINGS = tuple(_ENDINGS.split())
