"""How often people say the words that carry manner rather than matter, in three ways of using English.

Per thousand words, rounded, from general knowledge of the language, not counted in any data set: talk (speech,
messages, questions to a counter), telling (stories, letters, reports of events) and setting out (news, manuals, law).
They say what a table's own texts are compared *with*; a word that is missing here carries no evidence.
"""

from __future__ import annotations

_TABLE = """
the 30 55 65 | of 12 25 38 | and 22 30 27 | to 26 25 25 | a 20 22 20 | an 2 3 4 | in 13 18 22 | on 7 7 7 | at 5 6 5
for 9 8 10 | with 6 8 8 | by 2 4 7 | from 3 5 5 | about 4 3 2 | as 3 6 7 | into 1 2 2 | over 1 2 1 | after 1 2 2
before 1 1.5 1 | through .6 1 1 | than 1 1.5 2 | until .4 .6 .4 | without .3 .6 .6 | between .2 .4 .8 | i 38 12 1
me 7 3 .3 | my 9 4 .4 | mine .4 .2 .02 | myself .4 .4 .03 | we 8 4 2.5 | us 2 1 .7 | our 2 1.5 1.5 | you 32 6 1.5
your 8 2 1 | yours .3 .1 .03 | he 7 13 3 | him 2 4 .6 | his 2 8 2 | she 5 8 1 | her 3 8 1 | hers .1 .1 .02
it 20 11 7 | its .6 1.5 2.5 | they 7 5 3 | them 3 3 1.2 | their 1.5 3 3 | this 8 4 5 | that 16 11 10 | these 1.5 1 2
those 1 1 1 | who 2 3 2.5 | which 1 2.5 4 | what 9 2.5 1.2 | when 4 3 2 | where 2 1.2 .9 | why 2 .6 .3 | how 5 1.2 1
is 16 7 13 | are 7 3 7 | am 2 .8 .1 | was 8 16 8 | were 2.5 5 4 | be 6 6 8 | been 2.5 3.5 3 | being .8 .9 1
have 10 5 5 | has 2.5 2 4 | had 3 9 2.5 | having .5 .5 .4 | do 10 2 1.2 | does 2 .6 .7 | did 4 2 .6 | done 1 .5 .4
will 4 2 4 | would 4 4 2.5 | can 6 2.5 3 | could 3 3 1.5 | should 2 1 1.2 | may .7 1 2.2 | might .8 .9 .7
must .6 .8 1 | shall .1 .2 .5 | not 7 5 4.5 | no 7 3 2 | never 1.2 1 .4 | none .1 .2 .1 | nor .05 .2 .2 | n't 18 5 1
'm 7 1 .1 | 're 5 1 .2 | 've 4 1 .2 | 'll 5 1 .1 | 's 18 10 5 | 'd 3 1.2 .1 | and/or .01 .02 .2 | or 4 3 4.5
but 7 6 4 | so 8 3 1.2 | because 2.5 1.2 .8 | if 5 2.5 2 | though .6 .6 .5 | although .1 .4 .5 | while .5 1 1
since .4 .6 .6 | then 3 2 .8 | there 5 3 2 | here 3 1 .6 | all 5 3.5 2.5 | any 1.5 1 1 | some 3 1.8 1.6
just 6 1.8 .7 | also .8 .8 1.5 | very 1.5 1 .6 | too 1.5 .8 .4 | really 3 .5 .1 | only 1 1.2 1.2 | even .8 1 .7
still 1.2 1 .7 | again .8 .8 .3 | now 3 1.2 .9 | already .6 .4 .3 | yet .5 .4 .4 | up 4 2.5 1.4 | out 4 2.5 1.4
down 1.5 1.3 .5 | off 1.2 .7 .4 | back 2 1.4 .6 | more 2 1.8 2.3 | most .6 .9 1.2 | much 1.6 1 .7 | many .6 .7 .9
other 1 1.3 1.4 | such .2 .7 1 | same .6 .6 .5 | yes 4 .3 .05 | yeah 8 .2 .01 | ok 2 .1 .01 | okay 3 .2 .02
oh 5 .4 .01 | well 4 1 .5 | hey .8 .1 .01 | hi .8 .1 .01 | hello .6 .1 .01 | please 1.2 .3 .2 | thanks .9 .2 .05
thank .9 .3 .05 | sorry .9 .3 .03 | right 3 .7 .4 | maybe .9 .3 .1 | know 6 1.3 .4 | think 4 1 .5 | want 3 .8 .4
need 2 .6 .7 | get 5 1.3 .7 | got 4 .8 .2 | go 3.5 1.2 .5 | going 3 .9 .4 | like 5 1.7 .8 | said .9 4 3.5
says .5 .5 1.2 | say 1.5 .9 .5 | see 2.5 1.3 .6 | let 1 .4 .2 | make 1.3 .9 .8 | good 2 .8 .5 | something 1.4 .7 .2
anything .8 .4 .1 | thing 1.3 .6 .2 | things 1.1 .6 .3 | actually .9 .2 .1 | lot 1 .4 .2 | gonna 1 .1 .01
wanna .5 .05 .01 | gotta .3 .05 .01 | u .8 .02 .02 | ur .4 .01 .01 | lol .4 .01 .01 | haha .3 .01 .01 | . 90 55 45
, 35 55 55 | ? 25 4 1 | ! 10 3 .5 | : 2 2 4 | ; .3 1.5 2 | - 4 5 8 | ( 1 1.5 5 | ) 1 1.5 5 | " 2 8 6
"""


def _read(table: str) -> dict[str, tuple[float, float, float]]:
    cells = [cell.split() for line in table.strip().splitlines() for cell in line.split(" | ")]
    return {word: (float(talk), float(tell), float(out)) for word, talk, tell, out in cells}


PER_THOUSAND = _read(_TABLE)

# Words that change together when person, tense or register does.
GROUPS = {
    name: tuple(words.split())
    for name, words in {
        "first person": "i me my mine myself we us our 'm",
        "second person": "you your yours",
        "third person": "he him his she her hers they them their",
        "future and modal verbs": "will would shall must should may might can could 'll",
        "present tense": "is are am has have do does 's 're 've",
        "past tense": "was were had did 'd",
        "talk": "yes yeah ok okay oh well hey hi hello please thanks thank sorry gonna wanna gotta u ur lol haha so "
        "actually really n't ! ?",
    }.items()
}
