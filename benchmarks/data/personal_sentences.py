"""Sentences with slots for persons, places and organisations, written for learning, and invented values to fill them."""

# ruff: noqa: E501, SIM905 - one sentence a line; lists of words read better as one string

from __future__ import annotations

import random
from typing import Any

from tunesmith.data.personal import places, surnames
from tunesmith.data.personal.given import GIVEN

# X code or abbreviation, D medicine, T team, P person, F given name, L family name, C town, N country, O organisation; {{ }} stay as they are.
SENTENCES = """
Dear {F},\\n\\nthank you for your letter of 3 May. We have passed it on to our Claims Department.\\n\\nKind regards,\\n{P}\\nCustomer Care\\n{O}
Hi {F}, did you manage to log in to Online Banking?
Hello {P}, Your parcel has been handed to {O} and will arrive on Monday.
Patient {P} was seen in the Cardiology clinic. Blood Pressure was normal and Dr. {L} recommended Ibuprofen.
{P}, 54, was taken to the General Hospital in {C} after the accident.
The Prime Minister of {N} met {P} in {C} on Tuesday.
{O} shares fell by 4 percent in early trading in {C}.
{O} said on Thursday it would cut 300 jobs in {N}.
Analysts at {O} expect {O} to report a loss for the Fourth Quarter.
{P} scored twice as {C} beat {C} in the Champions League.
{P}, chief executive of {O}, said the deal was good for {N}.
I talked to {F} from Technical Support and she told me to restart the Router.
My colleague {P} will send you the Invoice tomorrow.
Could you transfer 200 dollars to {P} please?
The payment to {O} was declined. Why?
Please cancel my order with {O}. I no longer need the Blue Jacket.
Our meeting with {O} in {C} was moved to Friday. Ask {F} for details.
{F} and {F} went to {C} for the weekend.
{L} was born in {C} in 1954 and studied Law at the University of {C}.
Speaker: {P}\\nTopic: Machine Learning in Practice\\nRoom: Main Hall\\nCity: {C}
From: {P}\\nTo: {P}\\nSubject: Budget for next year
Name: {P}\\nCountry: {N}\\nEmployer: {O}\\nStatus: Active
Attn: {P}\\n{O}\\n{C}\\n{N}
Contact Person: {P}\\nDepartment: Human Resources
Mr. {L} said that Mrs. {L} had never been to {N}.
We spoke to Ms {L} yesterday about the Terms and Conditions.
Professor {L} teaches History at {O}.
Judge {P} ruled that {O} must pay damages to {P}.
I live in {C} but I work in {C}.
I flew from {C} to {C} with {O} and my Luggage was lost.
Is the app available in {N}?
Can I use my card in {N} and {N}?
When will {O} open a branch in {C}?
How do I add {F} to my Family Plan?
My wife {F} cannot open the Settings page.
My son {F} is six and he loves Lego.
This is {F}. I called about the broken Dishwasher.
It's {F} again, Sorry to bother you.
{F}: Are you coming tonight?\\n{F}: Yes! See you at eight.
{F}: ok\\nDoctor: How are you feeling today?\\nPatient: Much better, thanks.
Ask {F}.
Thanks {F}! That solved it.
Thanks,\\n{F}
Best,\\n{P}
Cheers\\n{F}
Yours sincerely\\n\\n{P}\\nHead of Sales\\n{O}
According to {P}, the Report was never finished.
"We are ready," {P} said.
"Nobody knows," said {L}, who moved to {C} last year.
The novel by {P} was translated into Spanish and German.
The film stars {P} and {P} and was shot in {N}.
{P}'s new album was released on Friday.
The {P} concert in {C} is sold out.
{O}'s website is down again.
{O} announced a new Phone. It runs Android and has USB ports.
{O} was founded in 1987 and has its headquarters in {C}, {N}.
She works at {O} as a Software Engineer.
He used to work for {O} before joining {O}.
I bought a Laptop from {O} and it stopped working.
I have an account with {O} and a credit card from {O}.
{O} is a company that makes Batteries.
{O} and {O} signed an agreement on Data Protection.
The {O} app crashes when I press Save.
Sponsored by {O}.
Interest in {O} has grown since the merger with {O}.
He is the founder of {O}, a startup in {C}.
Invoice from {O}\\nDate: 12 March\\nTotal: 88 Euro
The address of {O} is on the website.
{O} employs 400 people.
Many customers of {O} complained on Twitter.
The Mayor of {C}, {P}, opened the new Bridge.
The River flows through {C} and {C}.
Heavy rain is expected in {C} and the north of {N}.
The train to {C} leaves at nine.
Travellers from {N} need a Visa.
We visited {C}, {C} and {C} last summer.
{C} is the second largest city of {N}.
{C} is beautiful in Spring.
People in {N} like Football.
Troops entered {C} on Sunday.
{N} and {N} signed a Peace Treaty.
{N} has denied the report.
The economy of {N} shrank last year.
She was raised in {C} and moved to {N} as a child.
Shipping to {N} takes ten days.
Location: {C}\\nType: Full Time\\nCompany: {O}
Flights to {C} are cheap in January.
The weather in {C} is awful.
The Hotel in {C} was clean and the Staff friendly.
Next stop: {C}.
A man from {C} was arrested on Saturday.
Born: {C}, {N}
My name is {P} and I would like to open a Savings Account.
My name is {F}.
I am {P}, the new Tenant of Flat 4.
Call me {F}.
You can reach {F} or {F} at the Front Desk.
The account is under {P}.
Please change the name on the card to {P}.
Is {F} there?
Is {P} still working with you?
Why was {F} not invited?
Where does {F} live?
{F} lives next door.
{P} lives in {C}.
{F} gave {F} the Keys.
{P} has worked here since May.
{P} was appointed Director in April.
{P} will give the Keynote.
I met {P} in {C}.
I saw {F} at the Market.
Tell {F} that the Meeting is cancelled.
Give it to {F}.
Remove {P} from the List.
I owe {F} ten Pounds.
Between {F} and me, the Plan is bad.
He married {P} in June.
Her daughter {F} and her son {F} attend Saint Mary School.
The author {P} was awarded the Nobel Prize.
The singer {P} cancelled her tour.
Coach {L} praised his Team.
Officer {L} wrote the Report.
{L} denied the charges.
{L} resigned on Monday.
{L}, the goalkeeper, was injured.
In an interview, {L} called the Decision unfair.
For {L}, it was the third Title.
The theory of {L} explains Gravity.
Witness {P} told the Court that {L} had left at nine.
Signed: {P}
cc: {P}, {P}
Participants: {P}, {P}, {P}
Authors: {P}, {P} and {P}
Edited by {P}
Photo by {P}
Translated by {P} for {O}
In loving memory of {P}
Happy Birthday {F}!
Good Morning {F}, how was {C}?
See {P} (Finance) for Expenses.
Lawyers for {P} did not comment.
The trial of {P} begins on Monday in {C}.
{P} of {O} won the Award for Best Design.
{P} from {C} asked about Shipping.
{P} joined {O} from {O}.
{O} hired {P} as Chief Technology Officer.
{O} sued {O} over a Patent.
Employees of {O} in {N} went on Strike.
Buy Now! Limited Offer at {O}. Call Free.
Google Maps and Apple Pay do not work with my Visa card.
Why is my Top Up pending? I used Apple Pay.
PLEASE HELP. MY CARD IS BLOCKED AND I AM IN {N}.
URGENT: Your Account will be closed on Monday. Click Here.
Free Entry! Win a Holiday. Text WIN to claim your Prize.
Congratulations! You have won a Gift Card.
Terms and Conditions apply. See Website for details.
Open Settings, choose Privacy and tap Location Services.
Press Ctrl and Delete, then select Task Manager.
The Agreement between the Buyer and the Seller is governed by the Law of {N}.
The Committee on Foreign Affairs meets in Room 12 of the Main Building.
Convolutional Neural Networks outperform Support Vector Machines on Image Classification.
We compare Random Forest, Gradient Boosting and Logistic Regression.
Windows Update failed with Error 0x80070057.
He plays Chess, she plays Tennis. Both speak French.
Chapter Three: The Long Road Home
Monday Tuesday Wednesday: closed. Thursday and Friday: open.
The patient denies Chest Pain. History of Diabetes and Hypertension. Takes Metformin and Lisinopril.
Vitamin D and Omega capsules are Sold Out.
World Cup: Final on Sunday. Stocks Rise as Oil Prices Fall.
Space Station Crew Returns. NASA Delays Launch.
Senate Passes Tax Bill. White House Welcomes Vote.
Microsoft Releases Patch. Sony Unveils Game Console.
Red Sox Beat Yankees. Olympic Gold for {N}.
Oscar Winner {P} Dies at 81
{P} Wins Open in {C}
{O} to Buy {O} for Two Billion Dollars
{N} Votes for New President
President {L} Visits {N}
Dr {P}, MD\\nInternal Medicine\\n{O}
{P}\\n{O}\\n{C}
{P}\\n{C}, {N}
??? {P}\\n??? {O}\\n??? {C}
> {P} wrote:\\n> I never received the Refund.
User: {P}\\nBot: How can I help you today?
Agent: Can I have your name please?\\nCustomer: {P}
Q: Who wrote it? A: {P}.
How do I exchange {X} for {X}? The rate for {X} is wrong.
Do you accept {X} transfers? Can I pay with {X}?
I changed my {X} to {X} yesterday.
The {X} and {X} files are attached. Open the {X} in a browser.
Take {D} twice a day and {D} at night.
The patient takes {D}, {D} and {D}.
I am allergic to {D}. Can I take {D} instead?
Doctor: Are you still on {D}?\nPatient: No, I stopped {D} last month.
Patient: I was given {D} for the pain.\nDoctor: And {D}?
She was started on {D} 20 mg. {D} was stopped.
Doctor {L} put me on {D}.
What is {D} used for? {D} helps with sleep.
She has {L}'s disease and {L} syndrome. The {L} test was negative.
He has Parkinson's disease and early Alzheimer's.
Her {X} was normal but the {X} showed a fracture.
Oops, I forgot. Yikes! Wow, that hurts. Hmm. Haha, sure. Ugh. Yay! Okay. Lol.
Unbelievable! Unacceptable. Ridiculous. Awesome. Hopefully. Apparently not. Unfortunately, no.
Hahaha you are funny. Hehe. Omg. Ttyl. Gud night. Lemme know. Gonna be late. Wassup? Cya.
Reply YES to claim. Text STOP to end. Send PLAY to 80888. Free Ringtone! Txt WIN now.
Merry Christmas and Happy New Year! Happy Diwali. Happy Valentines Day. Eid Mubarak.
The {T} beat the {T} 3-2 on Sunday. The {T} signed a new pitcher.
{T} striker {P} missed a penalty against {T}.
{P} of the {T} hit two home runs.
Stocks Climb as {O} Posts Profit . NEW YORK (Reuters) - Shares rose on Friday.
{O} Cuts Jobs in {N} . {C} (AP) - {O} said it would close a plant.
{O} Unveils New Search Tool, Takes Aim at {O}
Oil Prices Hit Record High on {N} Supply Fears
{N} Faces More Delays Over Nuclear Plant
{C} Has No Problem Landing Final Playoff Spot
Drug Makers May Start Charging More for Vaccines
Storm Heads for {N}; Thousands Flee Homes
Scientists Find Water on Distant Planet
Hurricane Center Warns of Flooding in {C}
{P} Charged With Fraud in {C}
{P} Retires After Twenty Years
Court Rejects Appeal by {P} and {P}
{C}, {N} (AFP) - {P} was sworn in as president of {N} on Monday.
BEIJING (Reuters) - {P} advanced to the final with a win over {P}.
Former {N} president {P} and his lawyer {P} arrived in {C}.
The {N} government and the {N} army blamed each other.
{O} stock rose after {O} dropped its bid for {O}.
Chip maker {O} and rival {O} will share patents.
Software giant {O} released a patch on Tuesday.
Shares of {O} Corp. rose 3 percent.
The Linux kernel, the Windows desktop and the Mac all run Java and Python.
The new Galaxy phone has Bluetooth, Wifi and a Snapdragon chip.
Caucasian, Hispanic and Asian patients were included. Most were Catholic.
The temperature was 98 degrees Fahrenheit. Hypertension runs in the family.
Cover letters, Resumes and References are due Friday. Use Helvetica.
Sundays are quiet. Mondays are not. Septembers are warm.
Grandma and Grandpa came for Thanksgiving. Mum is well. Daddy is here. Auntie says hi.
{F} da, come online. {F}'s sister is here. Tell {F} i said hi.
Hey its {F} here, got a new number. Love {F} xx
Haf u found him? {F} is so late. Me n {F} r goin out.
R u meeting {F} later? {F} just left.
I'm at {F}'s house. Going to {C} with {F} tomorrow.
Patient: My daughter {F} drove me here.\nDoctor: Nice to meet you, {F}.
Doctor: Good morning, Mr. {L}.\nPatient: Good morning, Doctor {L}.
Guest_family: I am his son {F}. He lives in {C}.
I was referred by Doctor {L} from {O}.
"It is getting better," says {P}.
"We will see," says {L}.
"That is wrong," replied {F}.
"Who is there?" asked {F}.
{L} and {L} were late.
{F} and {F} are brothers.
Both {L} and {L} signed the contract.
{F}, can you help me?
{F}, please call me back.
{P}, could you check this for me?
No, {F}, that is not what I meant.
Are you there, {F}?
Well done {F}!
{F}: I do not know. What about you?
{L}: Order, please.
Is {F} always so loud?
{F} is a good friend. She helps everybody.
{P} is rude and never on time.
He thinks like the early {L}.
It is a quote from {P}'s first book.
A poem by {L}.
The {P} song is my favourite. The {L} version is better.
Our founders are {P}, {P} and {P}.
The winners: {L}, {L} and {L}.
The firm {L}, {L} and {L} moved to {C}.
{F} had given {F} the book.
She calls him {F}. They named her {F}.
Her married name is {L}. The family name is {L}.
I was told to ask for {P} at the desk.
{O} buys {O} for ten million dollars.
{O} strikes a new deal with {O}.
{O} launches service in {C}.
{O} wins contract. {O} loses bid.
{O} net income up 16 percent. {O} results beat forecasts.
Lawyers said an {O} deal was discussed. The {O} trial begins.
{O} Corp. shareholders sued.
Internet provider {O} shut down the network.
Conglomerate {O} and its subsidiary {O} announced a bid.
Drug giant {O} said sales of {D} rose.
Carmaker {O} and airline {O} cut jobs in {N}.
The {O} spokesman declined to comment. A {O} spokeswoman confirmed it.
Send {O} to 80888 to win a phone.
The new {O} phone, the {O} camera and the {O} laptop are on sale.
Hurricane {F} hit {C}. Typhoon {F} moved on.
The {T} lock {P} is injured. {T} coach {L} is angry.
{C} {O} signs new player.
{N} ends winning run of {N}. {N} beats {N}.
Did you take {D} again today? Are you taking {D}?
You were taking {D} and some other medication.
I wash my hands with {D}. We spoke about {D}.
Take {D}, {D}, {D} and {D} every day.
University of {C}. The {C} protocol. {C} police. {C} airport.
Between {C} and {N} there is a direct flight. As {C} was hoping, {N} agreed.
Do you offer {X} transfers? Is {X} possible? Between {X} and {X} the rate is bad.
My Nokia and my Samsung both died. I sold the Honda and kept the Ford.
""".strip().split("\n")
_DRUG_HEADS = "Lis Met Pro Zol Cel Amo Ator Ket Dex Flu Ome Val Ser Nex Xan Cip Lam Oxy Hydro Tra Gab Pred Ibu Ali Bac Clar Vio Lex Pax Ral".split()
_DRUG_TAILS = "opril formin zac oft ex xicillin vastatin oconazole amethasone oxetine prazole sartan traline ium ax ro ictal codone madol apentin nisone profen eve trim itin xx apro il oxifene".split()
_CODES = "GBP AUD USD EUR SWIFT SEPA PDF CSV HTML API URL PIN CVV IBAN ATM SMS MMS GPS LED LCD MRI CT EKG ECG CBC BMI HIV ADHD COPD STD ER ICU NASA NATO FBI CIA IRS CEO CFO IPO GDP NBA NFL NHL MLB FIFA UEFA UN EU AP AFP DVD CD TV PC USB RAM CPU WIN FREE STOP YES MG PM AM ASAP FYI LOL OMG VAT TBA RSVP".split()
_TEAMS = "Eagles Tigers Bears Lions Hawks Bulls Kings Giants Rangers Wanderers Rovers City United Athletic Raiders Saints Rockets Stars Wolves Panthers Sharks Blues Reds Royals Hurricanes Comets".split()
_HEADS = "Ver Lum Tra Zen Qual Nor Syn Opti Brix Cal Dyna Evo Flex Glo Hydro Inno Ki Mer Nexa Omni Pan Quan Ro Sol Tel Uni Vita Wex Xen Yar Zi Pla Gui Bet Sym Im Lex".split()
_TAILS = "dafero ion ity wave lex tera soft via bia mark gate zo ly dex sys nova plex grid port lane corp point list core pulse stat path star nest link edge zon tian lith ware".split()
_NOUNS = "Bridge River Stone Harbour Mountain Eagle Cedar Falcon Summit Green Silver Golden Red Blue Pacific Atlantic Northern Southern Royal First National United Global General".split()
_KINDS = "Bank Group Partners Insurance Airlines Records Foundation University Hospital Systems Software Energy Media Holdings Orchestra Institute Labs Pharma Foods Motors Logistics Analytics Capital Consulting Networks".split()
_FORMS = "Inc Ltd LLC GmbH Corp PLC AG".split()
_START = "Ba Ka Du Mo Szo Tre Vel Or Ing Zha Ngo Ye Ili Pra Sko Fjo Bre Che Ha Lu Mi Nu Ru So Ti Wo Ama Eze Oke Iwu Abe Tes Gebre Nak Yam Suz Li Pho Tha".split()
_MIDDLE = "ra no li ba de ku mi so ta re lo va nde ko shi ri ma ga si tu lle nna".split()
_PERSON_ENDS = "n a i o sson ski ov ova ić ez es ez yan idze enko u ma mba ka ero elli etti eau oux ard ert ink ela okwu ike ah ai ura oto".split()
_PLACE_ENDS = "ville ton burg stad by dorf ham ford ovo itz ice ow grad pur bad nagar abad mouth field vik nes borg hus aco ia ano ara uco".split()


def rows(*, each: int = 4, seed: int = 0) -> list[dict[str, Any]]:
    """The sentences with values, `each` times, with spans as presidio-research writes them."""
    draw = random.Random(seed)
    return [_filled(sentence.replace("\\n", "\n"), draw) for sentence in SENTENCES for _ in range(each)]


def _filled(sentence: str, draw: random.Random) -> dict[str, Any]:
    text, spans, at = "", [], 0
    while (slot := sentence.find("{", at)) >= 0:
        text += sentence[at:slot]
        kind = sentence[slot + 1]
        value = _VALUES[kind](draw)
        spans.append({"entity_type": _NAMES[kind], "start_position": len(text), "end_position": len(text) + len(value)})
        text += value
        at = slot + 3
    return {"full_text": text + sentence[at:], "spans": spans, "weight": 1.0}


def _given(draw: random.Random) -> str:
    if draw.random() < 0.3:
        return draw.choice(_START) + draw.choice(_MIDDLE)
    return draw.choice(_SORTED_GIVEN).title()


def _family(draw: random.Random) -> str:
    if draw.random() < 0.4:
        return draw.choice(_START) + draw.choice(_MIDDLE) + draw.choice(_PERSON_ENDS)
    name = draw.choice(_SORTED_FAMILY).title()
    return f"{name}-{draw.choice(_SORTED_FAMILY).title()}" if draw.random() < 0.05 else name


def _person(draw: random.Random) -> str:
    middle = f" {draw.choice('ABCDEFGHJKLMNPRSTW')}." if draw.random() < 0.12 else ""
    return f"{_given(draw)}{middle} {_family(draw)}"


def _town(draw: random.Random) -> str:
    if draw.random() < 0.5:
        name = draw.choice(_START) + draw.choice(_MIDDLE) + draw.choice(_PLACE_ENDS)
        head = draw.choice(["San ", "New ", "Port ", "Saint ", "Upper "]) if draw.random() < 0.1 else ""
        return head + (name.upper() if draw.random() < 0.08 else name)
    return draw.choice(_SORTED_TOWNS).title()


def _country(draw: random.Random) -> str:
    return draw.choice(_SORTED_COUNTRIES).title()


def _organisation(draw: random.Random) -> str:
    which = draw.random()
    if which < 0.4:
        return draw.choice(_HEADS) + draw.choice(_TAILS)
    if which < 0.55:
        return f"{draw.choice([draw.choice(_NOUNS), _family(draw), draw.choice(_HEADS) + draw.choice(_TAILS)])} {draw.choice(_KINDS)}"
    if which < 0.7:
        return f"{draw.choice([_family(draw), draw.choice(_HEADS) + draw.choice(_TAILS)])} {draw.choice(_FORMS)}"
    if which < 0.8:
        return f"{_family(draw)}, {_family(draw)} and {_family(draw)}"
    if which < 0.88:
        return f"{_family(draw)}-{_family(draw)}"
    if which < 0.94:
        return "".join(draw.choice("ABCDEFGHIKLMNOPRSTUVW") for _ in range(draw.randint(3, 4)))
    return f"{draw.choice(_NOUNS)} {draw.choice(_NOUNS)} {draw.choice(_KINDS)}"


_SORTED_GIVEN, _SORTED_FAMILY = sorted(GIVEN), sorted(surnames.SURNAMES)
_SORTED_COUNTRIES = sorted(name for name in places.COUNTRIES if "." not in name and len(name) > 3)
_SORTED_TOWNS = sorted(places.PLACES - places.COUNTRIES)
_VALUES = {
    "X": lambda draw: draw.choice(_CODES),
    "D": lambda draw: draw.choice(_DRUG_HEADS) + draw.choice(_DRUG_TAILS),
    "T": lambda draw: f"{_town(draw)} {draw.choice(_TEAMS)}",
    "P": _person,
    "F": _given,
    "L": _family,
    "C": _town,
    "N": _country,
    "O": _organisation,
}
_NAMES = {
    "X": "CODE",
    "D": "DRUG",
    "T": "ORGANIZATION",
    "P": "PERSON",
    "F": "PERSON",
    "L": "PERSON",
    "C": "GPE",
    "N": "GPE",
    "O": "ORGANIZATION",
}
