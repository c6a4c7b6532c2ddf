"""Common given names of several languages, lower case: a hint that a capitalised word is a person, never a proof."""

from __future__ import annotations

_GIVEN = """
james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony donald steven
paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob gary nicholas eric
jonathan stephen larry justin scott brandon benjamin samuel gregory frank alexander raymond patrick jack dennis jerry
tyler aaron jose henry adam douglas nathan peter zachary kyle walter harold jeremy ethan carl keith roger gerald
christian terry sean arthur austin noah lawrence jesse joe bryan billy jordan albert dylan bruce willie gabriel alan
juan logan wayne ralph roy eugene randy vincent russell louis philip bobby johnny bradley oliver liam elijah lucas
mason leo owen theo hugo felix max oscar stanley leonard ernest alfred clarence fred freddy freddie harry charlie tom
tommy jim jimmy bill bob mike steve dave nick tony andy ben sam dan matt chris alex rob greg jeff phil ted pete barry
craig derek darren dean duncan ewan fergus gavin geoffrey graham hamish iain ian kieran lachlan leif malcolm nigel
neil niall rory ross rupert simon stuart trevor clive colin conor cormac declan desmond dermot donovan earl elliot
elliott evan floyd garrett glenn grant gordon harvey herbert howard ivan jared jerome joel julian lance lee lewis
lloyd luke marcus mario mark marshall martin marvin maurice melvin milton mitchell morris nelson norman percy quentin
rodney roland ruben sidney spencer ted theodore todd travis troy tristan vernon victor wallace warren wesley xavier
zane mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty sandra margaret ashley
kimberly emily donna michelle carol amanda melissa deborah stephanie dorothy rebecca sharon laura cynthia amy kathleen
angela shirley brenda emma anna pamela nicole samantha katherine christine helen debra rachel carolyn janet maria
catherine heather diane olivia julie joyce victoria ruth virginia lauren kelly christina joan evelyn judith andrea
hannah megan cheryl jacqueline martha madison teresa gloria sara janice ann kathryn abigail sophia frances jean alice
judy isabella julia grace denise amber marilyn danielle beverly charlotte natalie theresa diana brittany doris kayla
alexis lori marie abby agnes alison amelia annabel anne annie april audrey ava beatrice becky bella bertha beth
bethany bonnie bridget camille carla caroline carrie cecilia celia chloe clara claire claudia constance cora crystal
daisy daphne dawn debbie delia eileen elaine eleanor elena ella ellen elsie emilia erica erin esther eva faith fiona
florence gail gemma georgia geraldine gina gladys glenda gwen harriet hazel heidi hilary holly ida imogen ingrid irene
iris isabel isla ivy jane jasmine jenny jill joanna joanne jodie josephine josie juliet june kate katie katrina kay
kirsten kristen kristin lana leah leanne lena lillian lily lois lorraine louise lucia lucy lydia mabel maggie mandy
marcia margot marian marianne marion marjorie martina matilda maureen maxine maya mercedes mildred millie minnie
miranda miriam moira molly monica muriel myra nadia naomi natasha nina nora norma olga paige pamela paula pauline
pearl penelope penny phoebe phyllis polly priscilla rhoda rita roberta robin rosa rosalie rose rosemary roxanne
sabrina sadie sally selena sheila shelley sherry sienna silvia simone sonia sophie stella sue susanna suzanne sylvia
tabitha tamara tanya tara tina tracy trudy ursula valerie vanessa vera veronica viola vivian wanda wendy wilma
winifred yvette yvonne zoe hans peter klaus jürgen wolfgang heinz helmut manfred günter gerhard uwe dieter horst bernd
karl friedrich johann jan stefan steffen sebastian florian tobias dominik fabian matthias mathias lukas jonas moritz
philipp niklas kai sven torsten thorsten jörg ralf rainer werner ulrich ulrike sabine petra monika renate ute gisela
ingeborg hildegard brigitte heike anja katja silke birgit claudia kerstin susanne martina andreas gabriele angelika
jutta elke lena lea leonie mia johanna franziska katharina greta frieda anke antje maike swantje wiebke dörte ilse
liesel lotte pierre jacques michel alain philippe andré rené bernard christophe nicolas laurent julien olivier
françois frédéric guillaume thierry stéphane sébastien antoine mathieu thibault rémi loïc yves gilles didier étienne
benoît cédric fabrice nathalie isabelle sylvie catherine martine céline sandrine véronique valérie aurélie élodie
amélie chloé manon léa camille margaux inès océane geneviève monique brigitte josette colette odette solange dominique
pascal pascale corinne giuseppe giovanni antonio mario luigi francesco angelo vincenzo pietro salvatore carlo franco
domenico bruno paolo michele giorgio aldo luciano roberto stefano alessandro andrea marco luca matteo lorenzo davide
simone federico riccardo giulia chiara francesca federica sara martina valentina alessia silvia elisa paola giovanna
rosa carmela raffaella ilaria ornella simona fabio massimo claudio enrico emanuele nicola filippo tommaso leonardo
gianni renato sergio josé manuel francisco david antonio javier carlos miguel alejandro rafael pedro ángel pablo
fernando jesús luis sergio jorge alberto álvaro diego adrián raúl ramón enrique iván rubén víctor óscar andrés joaquín
santiago eduardo felipe ignacio gonzalo rodrigo emilio salvador gustavo ricardo mateo héctor arturo césar mariano
esteban cristóbal mauricio carmen maría josefa isabel dolores pilar ana francisca laura antonia mercedes elena rosario
teresa cristina lucía marta beatriz rocío silvia raquel inés alba sofía ximena valeria camila daniela gabriela
alejandra fernanda guadalupe esperanza consuelo concepción montserrat nuria marisol yolanda joão antónio paulo
fernando luís rui tiago nuno ricardo gonçalo bruno vasco afonso duarte thiago caio gustavo leandro márcio fábio flávio
rogério inês beatriz catarina joana sandra sónia fátima luísa juliana letícia larissa renata lars erik nils sven
anders johan karl per gunnar olof ola björn håkan göran magnus henrik fredrik mikael mattias gustav axel emil viktor
oskar astrid ingrid karin birgitta margareta kristina eva lena maja elsa alva linnea ebba freja signe ida sofie mette
kirsten hanne inge bente lone pia tove kari solveig sigrid turid bjørn odd øyvind knut harald haakon ole arne rolf
svein tor terje trond geir morten søren jens niels mads rasmus kasper mikkel jesper mikko juha matti timo pekka jukka
antti kari jari heikki markku anneli aino helvi tuula päivi sari marja johanna ragnar sigurður guðmundur jón ólafur
einar kristján guðrún sigríður björk halldór þór piotr krzysztof andrzej tomasz paweł jan michał marcin marek grzegorz
jerzy tadeusz adam łukasz zbigniew ryszard kazimierz wojciech mariusz dariusz rafał jacek jakub mateusz maciej
stanisław katarzyna małgorzata agnieszka barbara krystyna ewa elżbieta zofia magdalena joanna aleksandra monika teresa
danuta dorota beata jadwiga halina weronika irena jiří petr josef pavel martin tomáš jaroslav miroslav zdeněk
františek václav karel milan ondřej vojtěch lukáš marek jana marie eva hana lenka kateřina věra lucie alena petra
jitka ivana šárka zuzana tereza markéta barbora michaela matej jozef ján štefan ľubomír vladimír juraj peter lászló
istván józsef jános zoltán sándor gábor ferenc attila péter tamás zsolt tibor andrás csaba imre lajos györgy balázs
gergely dávid ádám bence katalin erzsébet ilona éva anna zsuzsanna margit judit ágnes andrea ildikó erika krisztina
piroska réka dóra eszter ivan aleksandr sergei sergey dmitri dmitry andrei andrey alexei alexey mikhail nikolai
vladimir igor oleg yuri boris pavel roman maxim denis anton artem konstantin vadim viktor vitaly evgeny yevgeny timur
kirill ilya stanislav leonid anastasia ekaterina natalia tatiana irina svetlana ludmila galina marina yulia oksana
daria polina ksenia alina viktoria larisa valentina faina lyudmila olena oleksandr volodymyr mykola taras bohdan
andriy yaroslav ion gheorghe vasile mihai alexandru florin radu bogdan cristian adrian ioana elena mihaela andreea
raluca marko luka stjepan zoran goran dragan milica jelena ivana snežana nebojša vuk dušan jovan nikola slobodan
mirjana milena miloš vesna bojan saša janez franc marija jožef matjaž primož tjaša maja georgios giorgos dimitris
dimitrios konstantinos nikos yannis panagiotis eleni katerina sofia vasiliki despina mehmet mustafa ahmet ali hüseyin
hasan ibrahim ismail osman yusuf murat emre burak kemal fatma ayşe emine hatice zeynep elif hülya gül leyla aylin
deniz mohammed muhammad mohamed ahmed mahmoud mustafa ali hassan hussein omar khaled khalid abdullah abdul ibrahim
youssef yusuf karim tariq samir walid rashid faisal hamid nabil salim bilal jamal anwar imran fatima aisha khadija
maryam zainab layla noor huda salma amina samira yasmin rania nour farah rajesh sanjay amit vijay anil sunil suresh
ramesh rahul ravi ajay arjun vikram deepak manoj ashok krishna priya anjali pooja neha sunita anita kavita lakshmi
divya meera shreya aishwarya ananya rohan karthik arun nikhil gopal harish wei li ming jun hong ying xin yan fang lei
chen xiao mei ling hui jian yong qiang yu hao jie hiroshi takashi kenji akira satoshi kazuo yuki yuto haruto sota ren
takeshi makoto naoki daisuke shinji toshimi yuito keiko yoko akiko naoko yumiko sakura hina aoi mio emi haruka misaki
kaori tomoko michiko minjun jiho seojun jihoon minho sungmin hyunwoo jiwoo seoyeon jisoo minji eunji soojin yuna
nguyen linh anh minh thanh hoang duc phuong huong trang chinedu emeka ngozi chioma oluwaseun adebayo ifeoma kwame kofi
ama akosua abena thabo sipho nomsa themba lerato zanele amara tendai chipo wanjiku kamau otieno achieng moshe yosef
avi eitan noam yael tamar shira rivka chaya shlomo yaakov siobhan aoife niamh ciara saoirse oisin eoin padraig sinead
gareth rhys dylan carys bronwyn sian angharad joost pieter willem kees jeroen bram daan sander thijs maarten wouter
koen hendrik dirk gerrit anouk femke sanne lotte marieke annemarie saskia aantje elise
"""
GIVEN = frozenset(_GIVEN.split())
