"""Words that are no names however they are written, lower case: what a capital at the start of a sentence hides."""

from __future__ import annotations

_COMMON = """
a an the this that these those some any every each all both either neither no none another other others such same own
i me my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours they
them their theirs themselves who whom whose which what when where why how whoever whatever whenever wherever however
there here now then today tonight tomorrow yesterday once twice again already still yet soon later earlier before
after and or but nor so for because since although though while if unless until whether than as like unlike despite
except about above across against along among around at behind below beneath beside besides between beyond by
concerning down during following from in including inside into near of off on onto out outside over past per regarding
round through throughout to toward towards under underneath up upon via with within without versus vs is am are was
were be been being have has had having do does did doing done will would shall should can could may might must ought
need dare let lets not never ever always often sometimes usually rarely seldom almost nearly just only even also too
very quite rather really truly simply merely perhaps maybe probably possibly certainly indeed instead otherwise
therefore thus hence meanwhile moreover furthermore nevertheless nonetheless anyway please thanks thank hello hi hey
dear bye goodbye welcome sorry yes yeah yep nope okay ok sure well oh ah wow hmm um alas cheers congratulations
regards sincerely best kind kindly respectfully yours faithfully cordially monday tuesday wednesday thursday friday
saturday sunday january february march april may june july august september october november december mon tue tues wed
thu thur thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec spring summer autumn fall winter morning
noon afternoon evening night midnight day days week weeks weekend month months year years hour hours minute minutes
second seconds century decade christmas easter thanksgiving halloween ramadan hanukkah birthday anniversary labor
memorial independence valentine one two three four five six seven eight nine ten eleven twelve thirteen twenty thirty
forty fifty hundred thousand million billion first third fourth fifth last next previous half quarter single double
many much more most several few fewer less least enough plenty lot lots various aspirin ibuprofen paracetamol
acetaminophen tylenol advil motrin aleve naproxen benadryl claritin zyrtec allegra flonase
nasonex prilosec nexium protonix zantac pepcid lipitor zocor crestor plavix coumadin warfarin heparin eliquis xarelto
lasix metoprolol lopressor atenolol lisinopril losartan diovan benicar avalide norvasc amlodipine cardizem metformin
glucophage insulin lantus humalog synthroid levothyroxine prednisone cortisone zoloft prozac paxil lexapro celexa
cymbalta effexor wellbutrin xanax ativan valium klonopin ambien seroquel zyprexa risperdal abilify clozaril lithium
depakote lamictal topamax neurontin gabapentin lyrica dilantin keppra tegretol elavil tramadol ultram vicodin percocet
oxycontin oxycodone hydrocodone morphine codeine fentanyl amoxicillin augmentin keflex cipro levaquin bactrim zithromax
doxycycline penicillin viagra cialis proscar flomax celebrex vioxx humira enbrel botox cetaphil vaseline hypertension
diabetes asthma arthritis parkinson alzheimer crohn hodgkin huntington caucasian hispanic mama papa mommy daddy grandma
grandpa nana granny auntie hurricane typhoon goodmorning
hm hmm hmmm hah wah karaoke quiz obstetrician gynecology pepto aw aww ahh ooh oops yikes
ugh yay phew hiya heya yup yep yea yeh nah nope yar okie okey kk alrite alright dude bro sis
hun babe luv lmao rofl gud goin wanna lemme gimme wassup sup cya ttyl btw thx thanx tnx pls plz ur im ive dont cant wont
didnt isnt havent havnt oso lor lah leh hehe haha hahaha hee muah mwah xmas bday tmr tmrw wkend msg txt
hasn haven hadn isn aren wasn weren don didn doesn won wouldn couldn shouldn mustn needn ain shan can't
able absolute accept access accessible
accident according account accounts act action actions active activity actor actual add added additional address
addresses admin administration administrator admit adult advance advice advocate afraid age agency agent ago agree
agreement ahead aid air airport album alert alive allow alone amazing ambassador amount analysis analyst ancient angry
animal announce announcement annual answer answers antelope anybody anyone anything apartment app apparently appear
apple application apply appointment approach approve area argue argument arm army arrest arrival arrive arrived art
article artist artists ask asked asking assistance assistant assume atm attack attempt attend attention attorney
author authority auto available average avoid award aware away awesome awful baby back background bad bag balance ball
band bank banking bar base based basic basis battle beach bear beat beautiful bed beer begin beginning behavior
believe belong beneficiary benefit benefits better big bill billing bird birth bit bite black blanket blame block blog
blood blue board boat body bomb bonus book books border boring born boss bot bottom bought bowl box boy boys brain
branch brand bread break breakfast breaking bridge brief bright brilliant bring broke brother brothers brought brown
budget build building built bullet bunch burn bus business busy button buy buyer cabinet cable cake call called caller
calling calls came camera camp campaign campus cancel cancer candidate capital captain car card cards care career
careful carry case cash cast cat catch category cause cautionary celebrate celebrity cell center central ceo cfo chain
chair chairman challenge champion chance change changed changes channel chapter character charge charged charges cheap
check checking checks chef chicken chief child children choice choose church circle citizen city civil claim class
classic classical clean clear clearly clerk click client climate close closed clothes cloud club coach coast code
coffee cold collect collection college color column combine come comedy comes comfort coming command comment comments
commercial commission commitment committee common communication community company companies compare competition
complain complaint complete completely composer computer concern concert condition conference confirm conflict
congress connect connection consider considered construction consultant contact contain content contest continue
contract control conversation cookie cool copy core corner corporate corporation correct cost costs council count
counter country county couple courage course court cousin cover crash crazy create created credit crew crime crisis
critic critical cross crowd cry cup cure currency current currently custom customer customers cut cute cycle dad daily
damage dance danger dark data database date dates daughter dead deal dealer death debate debit debt decide decided
decision deep default defence defense degree delay delete deliver delivered delivery demand democrat dentist
department depend deposit describe description desert design designer desk detail details detain detained develop
developer developed development device diet difference different difficult digital dinner direct direction director
dirty disc discipline discover discuss discussion disease dispute disputes district doctor document documents dog
dollar dollars domain door doubt download dozen draft drama dream dress drink drive driver drop drug due early earn
earth ease east eastern easy eat economic economy edition editor education effect effort egg election electric email
emails emergency employee employees employer employment empty end ended enemy energy engine engineer english enjoy
enter entire entry environment equal equipment error especially estate estimate euro euros evening event events
everybody everyone everything evidence exact exactly exam example excellent exchange excited executive exercise exist
expect expensive experience expert explain express extra extreme eye eyes face facebook fact factor factory fail
failed fair fake fallen false fame family famous fan fancy fantastic far farm farmer fashion fast fat father favor
favorite fax fear feature features federal fee feedback feel feeling feelings fees feet felines fell felt female
festival field fight figure file files fill film final finally finance financial find fine finish fire firm fish fit
fix flag flat flew flight floor flower fly focus follow followed food foot football force foreign forest forever
forget forgot form formal former forward found foundation founded founder founders free freedom french fresh friend
friends front fruit full fully fun fund funds funny furniture further future gain game games garden gas gate gave
general generally german gentle get gets getting giant gift girl girls give given gives giving glad glass global go
goal god goes going gold golden gone gonna good google got gotta government governor graffiti grand graphic grateful
great greek green greetings grew ground group groups grow growing guardian guess guest guide guilty guitar gun guy
guys habit hair hall hand handle hands happen happened happy hard hardly hate head heading headquarters health hear
heard heart heat heavy held helicopter hell help helped helpful hero hide high highest highly highway hill hip
historic history hit hold holder holding holiday home honest honestly honor hope hospital host hot hotel house
household housing huge human hundreds hungry hurry hurt husband husbandry iban ice idea ideas identify identity ignore
ill image imagine immediate immediately impact important impossible impulsive improve inc incident include included
income incorrect increase incredible independent india indian individual industry info information initial injured
innocent insane insert inspector install instance institute institution instruction insurance intended interest
interested interesting interface international internet interstellar interview introduce introducing investigation
investment investor invite invited invoice involve iphone irish island issue issues italian item items japanese
jealous job jobs join joint joke journalist journey journeys judge jump junior jury justice keep keeping kept key
keyboard kick kid kids kill killed killer killers kinda kindness king kitchen knew know known lab lack lady lake land
language large late latest laugh launch law lawyer lay lead leader leaders leading league learn least leave leaves
leaving lecture led left legal legend lemurs lend length lesson letter letters level liability liar liberal library
license lie life light likely limit line link list listen listeners literally literature little live lived lives
living loan local located location lock login logo long longer look looked looking looks lord lose loss lost loud love
loved lovely low lower luck lucky lunch machine mad made magazine magic mail main maintain major make makes making
male mall man manage management manager manner manufacturing map mark market marketing marriage married mass massive
master match mate material matter meal mean meaning means measure meat media medical medicine medium meet meeting
member members membership memory men mental mention menu merchant merger mess message messages met metal method middle
mile miles military mind mine minister minor miss missed missing mission mistake mistaken mix mobile model modern mom
moment money mood moon mortgage mother motion mountain mouse mouth move moved movement movie movies moving muffin
multiple murder museum music musical musician musicians mute mystery name named names nation national native natural
nature navy necessary neck network networks new newly news newspaper nice nobody noise normal north northern notice
note notes nothing novel number numbers nurse object obvious obviously occur ocean odd offer offers office officer
officers official oil old online open opening opens operation opinion opportunity option options oral orange orchestra
order orders ordinary organization organizations origin original originally outstanding owner pace pack package
packager packet page paid pain paint pair palace paper papers parent parents park parking part particular particularly
partner partners party pass passed passenger passport password past path patient pattern pause pay paying payment
payments peace people percent perfect perform performance period permanent permission person personal personnel phone
photo phrase physical piano pick picture pictures piece pin pink pizza place places plan plane planet plans plant play
player players playing pleasure pleasures plenty plus pocket poem poet point police policy political politics pool
poor pop popular population port position positive possible post posted postal potential pound pounds power powerful
practice pray prepare prepared present presentation presented president press pretty prevent previously price prices
pride priest prime prince princess principal print printer prior prison private prize problem problems procedure
proceed process processing produce producer product production products professional professor profile profit program
programmer project projects promise promised promote proof proper property proposal protect proud prove provide
provided provider provides public publication publish publisher publishers pull purchase pure purpose push put queen
question questions queue quick quickly quiet quit quote race radio rain raise ran range rate rates reach read reader
ready real reality realize reason reasonable receive received recent recently recipe recommend record recorded
recording recordings records recover red redeem reduce refer reference reform refund refuse region register registered
regular reject relate relationship release relief religious remain remarkable remember remind reminder remote remove
rent repair repeat replace reply report reporter represent representative republic republican request require required
requirements research researcher reservation reset residence resident resource resources respond response responsible
rest restaurant result results retail retire retired return review reviews revolution reward rich ride right rights
ring rise risk river road robot rock role roll room rooms rough route row royal rule rules run running rush russian
sad safe safety said sail salary sale sales salt sandwich satanic satisfied save saved savings saw say saying says
scale scary scene schedule scheme school science scientist score screen script sea search season seat secret secretary
secretly section sector secure security see seek seem seems seen select self sell senate senator send sending senior
sense sent sentence sentenced separate serial series serious seriously serve server serves service services session
set setting settle setup seventh sex shake shape share shared sheet shift ship shipping shirt shit shock shoe shoes
shoot shop shopping short shot shoulder show shower shown shows shut sick side sight sign signal signature significant
silly silver similar simple sing singer singing sir sister sit site sites situation size skill skin sky sleep slip
slow small smart smile smith smoke smooth snow so-called soccer social society soft software soldier solid solution
solve somebody someone something sometime somewhat somewhere son song songs songwriters sound source south southern
space spanish speak speaker special specialist specific speech speed spell spend spent spirit split sport sports
spread square staff stage stand standard star stars start started starting startup state statement statements states
station status stay step stick stock stolen stomach stop stopped store stories storm story straight strange strategy
stream street strength stress strike strong structure struggle student students studio study stuff stupid style
subject submit subscribe subscription success successful suck sudden suddenly suffer sugar suggest suggestion suite
super supply support suppose supposed surprise surprised survey survive suspect sweet swim switch symbol sympathetic
symptom system systems table take taken takes taking tale tales talent talk talked talking tall target task taste tax
taxi teach teacher team teams tear tech technical technician technology teen teeth telephone television tell
temperature term terms terrible territory test text thai thank theater theatre theme theory thing things think
thinking thought thousand thousands threat throw ticket tickets tie tiger tight time times tiny tip tired title told
tone tonight took tool tools top topic total totally touch tough tour tourist tower town track trade tradition
traditional traffic train training transaction transactions transfer transfers transform transit translate transport
trash travel traveling travelling treasure treat treatment tree trial tribute trick trip trouble truck true trust
truth try trying turn turned tv twitter type typical ugly unable uncle understand understanding unfortunately union
unique unit united universal universe university unknown update updated upgrade upset urgent usage use used useful
user username users using usual utility vacation valid value van variety vast vegetable vehicle version vibe victim
video view village violence virtual virus visa visit visitor vital voice volume volunteer vote wage wait waiting wake
walk wall want wanted wants war warm warn warning wash waste watch water wave way weak wealth weapon wear weather web
website wedding weight weird west western wet wheel whole wide wife wild willing win wind window windows wine winner
wire wisdom wise wish withdraw wonder wonderful wood word words work worked worker workers working works world worried
worry worse worst worth wouldn't write writer writing written wrong wrote yard yellow young youth zero zip zombie zone
mr mrs ms miss mx dr prof sir madam lord lady captain sergeant colonel major general president senator king queen
saint street avenue road drive lane boulevard court place way terrace apt apartment suite floor unit box zipcode
postcode country county province district region island river mountain lake ocean ssn cv pin url http https www com
net org id faq pdf html api gps usb lol omg asap fyi eta diy rsvp agent visa mastercard american amex paypal apple
microsoft amazon netflix youtube instagram whatsapp android british english american french german italian spanish
portuguese dutch swedish norwegian danish finnish icelandic polish czech slovak slovenian slovene hungarian romanian
bulgarian greek turkish russian ukrainian estonian latvian lithuanian serbian croatian bosnian albanian irish scottish
welsh swiss austrian belgian chinese japanese korean vietnamese thai indian pakistani bangladeshi indonesian malaysian
filipino australian canadian mexican brazilian argentinian argentine chilean colombian peruvian cuban egyptian
moroccan tunisian algerian nigerian kenyan ethiopian ghanaian israeli palestinian lebanese syrian iraqi iranian
persian saudi arab arabic african asian european latin christian muslim jewish hindu buddhist catholic protestant
islam islamic islamist jew jews muslims christians cambodian mobile desk fax cell tel phone email e-mail website web
address attn subject re fwd cc bcc regarding sender recipient quantity total subtotal invoice amount shipping date
time from to when where name surname firstname lastname dob gender chief executive operating financial vice assistant
associate manager director officer engineer accountant cashier receptionist plumber electrician mechanic carpenter
janitor cook waiter waitress barber hairdresser pharmacist surgeon therapist psychologist economist statistician
architect surveyor librarian photographer translator interpreter clerk supervisor coordinator operator specialist
trainer instructor tutor lecturer dean chancellor treasurer auditor analyst
"""
COMMON = frozenset(_COMMON.split())

# Endings of words that are seldom names.
ENDINGS = (
    "tion", "sion", "ness", "ment", "ings", "able", "ible", "ally", "fully", "ously", "ology", "ship", "hood", "ism",
    "isms", "ity", "ities", "ances", "ences", "ious", "eous", "ful", "less", "ward", "wards", "wise", "ically", "ating",
    "izing", "ising", "ified", "ize", "ized",
)  # fmt: skip

# Words inside names of organisations, and what companies end in.
_ORGANISATION = """
bank university college school hospital clinic institute foundation orchestra association society council committee
ministry department agency authority commission court parliament senate union party club team league church museum
library theatre theater festival records band studios studio press times post news daily journal magazine radio
television airlines airways hotel restaurant cafe bakery company companies corporation group holdings partners
solutions systems services technologies technology software consulting capital insurance energy pharmaceuticals labs
laboratories industries enterprises analytics business ventures motors foods pharma logistics robotics biotech
therapeutics interactive digital brands stores markets power oil gas mining steel airways shipping freight lines rail
railways telecom mobile wireless broadcasting pictures productions publishing books games sports athletic united fc
cooperative trust fund asset management realty properties estates construction engineering electric electronics
semiconductors instruments devices medical health healthcare care dental pharmacy supply trading imports exports
international global network media entertainment force guard police navy army
"""
ORGANISATION = frozenset(_ORGANISATION.split())
_COMPANY = "inc incorporated limited ltd llc llp plc corp corporation gmbh ag kg sa sas sarl srl spa bv nv oy ab aps co"
COMPANY = frozenset(_COMPANY.split())
