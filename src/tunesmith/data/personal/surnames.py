"""Common surnames, surname endings and the particles inside surnames, in several languages, lower case."""

from __future__ import annotations

_SURNAMES = """
smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson
thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker young
allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell carter
roberts gomez phillips evans turner diaz parker cruz edwards collins reyes stewart morris morales murphy cook rogers
gutierrez ortiz morgan cooper peterson bailey reed kelly howard ramos kim cox ward richardson watson brooks chavez
wood james bennett gray mendoza ruiz hughes price alvarez castillo sanders patel myers long ross foster jimenez powell
jenkins perry russell sullivan bell coleman butler henderson barnes gonzales fisher vasquez simmons romero jordan
patterson alexander hamilton graham reynolds griffin wallace moreno west cole hayes bryant herrera gibson ellis tran
medina aguilar stevens murray ford castro marshall owens harrison fernandez mcdonald woods washington kennedy wells
vargas henry chen freeman webb tucker guzman burns crawford olson simpson porter hunter gordon mendez silva shaw
snyder mason dixon munoz hunt hicks holmes palmer wagner black robertson boyd rose stone salazar fox warren mills
meyer rice schmidt garza daniels ferguson nichols stephens soto weaver ryan gardner payne grant dunn kelley spencer
hawkins arnold pierce hansen peters santos hart bradley knight elliott cunningham duncan armstrong hudson carroll lane
riley andrews alvarado ray delgado berry perkins hoffman johnston matthews pena richards contreras willis carpenter
lawrence sandoval guerrero george chapman rios estrada ortega watkins greene nunez wheeler valdez harper burke larson
santiago maldonado morrison franklin carlson austin dominguez carr lawson jacobs obrien lynch singh vega bishop
montgomery oliver jensen harvey williamson gilbert dean sims espinoza howell li wong reid hanson le mccoy garrett
burton fuller wang weber welch rojas lucas marquez fields park yang little banks padilla day walsh bowman schultz luna
fowler mejia barker barton becker begum bird blake bolton bond booth bowen brady byrne cameron chambers clarke clayton
connor cross curtis dawson doyle drake dudley farrell finch fletcher flynn forbes frost gallagher gibbs goodwin
hancock hardy hobbs holland holloway horton hussain ingram jarvis kaur kerr khan lamb lambert leonard lloyd lowe
macdonald mackenzie maxwell mcbride mccarthy mcgrath mclean maclean moran newman nolan norris north oconnor parsons
pearce pearson poole pratt quinn randall rhodes savage sharp sinclair slater stafford steele sutton swift thornton
townsend tyler underwood vaughan wade walton wilkinson winter wyatt yates ahmed ali akhtar shah sharma gupta verma
kumar mehta reddy iyer nair chatterjee mukherjee banerjee das bose joshi desai kapoor malhotra agarwal chopra rao
pillai menon müller schmidt schneider fischer weber meyer wagner becker schulz hoffmann koch bauer richter klein wolf
schröder neumann schwarz zimmermann braun krüger hofmann hartmann lange schmitt werner krause meier lehmann maier
köhler herrmann könig walter mayer huber kaiser fuchs peters lang scholz möller weiß jung hahn schubert vogel
friedrich keller günther frank berger winkler roth beck lorenz baumann franke albrecht schuster simon ludwig böhm
winter kraus schumacher krämer vogt stein jäger otto sommer gross seidel heinrich brandt haas schreiber graf dietrich
ziegler kuhn kühn pohl engel horn busch bergmann voigt sauer arnold wolff pfeiffer mauer martin bernard dubois durand
moreau laurent simon lefebvre leroy roux david bertrand morel fournier girard bonnet dupont lambert fontaine rousseau
vincent muller lefèvre faure mercier blanc guérin boyer garnier chevalier françois legrand gauthier perrin robin
clément morin nicolas henry roussel mathieu gautier masson marchand duval denis dumont lemaire noel meyer dufour
meunier brun blanchard giraud joly rivière brunet arnaud barbier caron renard picard gaillard rossi russo ferrari
esposito bianchi romano colombo ricci marino greco bruno gallo conti costa giordano mancini rizzo lombardi moretti
barbieri fontana santoro mariani rinaldi caruso ferrara galli martini leone longo gentile martinelli vitale lombardo
serra coppola marchetti parisi villa conte ferraro fabbri bianco marini grasso valentini garcía fernández gonzález
rodríguez lópez martínez sánchez pérez gómez martín jiménez ruiz hernández díaz moreno muñoz álvarez romero alonso
gutiérrez navarro torres domínguez vázquez ramos gil ramírez serrano blanco molina suárez ortega delgado castro ortiz
rubio marín sanz núñez iglesias medina garrido cortés castillo santos lozano guerrero cano prieto méndez cruz calvo
gallego vidal león herrera márquez peña flores cabrera campos vega fuentes carrasco diez caballero nieto reyes aguilar
pascual herrero santana lorenzo hidalgo montero ibáñez giménez ferrer duran vicente benítez mora arias vargas carmona
crespo roman pastor soto sáez velasco moya soler parra esteban bravo gallardo rojas silva santos ferreira pereira
oliveira costa rodrigues martins jesus sousa fernandes gonçalves gomes lopes marques alves almeida ribeiro pinto
carvalho teixeira moreira correia mendes nunes soares vieira monteiro cardoso rocha barbosa barros araújo cavalcanti
azevedo melo dias castro campos jansen devries dejong visser smit meijer bakker janssen mulder bos vos peeters
hendriks dekker brouwer dijkstra smits kok jacobs vermeulen vandenberg kuiper bosch hermans willems andersson
johansson karlsson nilsson eriksson larsson olsson persson svensson gustafsson pettersson lindberg lindström lindqvist
lundberg bergström sandberg nyström holm hansen olsen larsen nielsen pedersen andersen christensen sørensen rasmussen
jørgensen petersen madsen kristensen johansen berg haugen lie dahl lund moen ruud bakken strand solberg korhonen
virtanen mäkinen nieminen mäkelä hämäläinen laine heikkinen koskinen järvinen nowak kowalski wiśniewski wójcik
kowalczyk kamiński lewandowski zieliński woźniak dudek tomaszewski mazur krawczyk novák svoboda novotný dvořák černý
procházka kučera veselý horák němec pokorný nagy kovács tóth szabó horváth varga kiss molnár németh farkas balogh papp
takács juhász lakatos szász kónya sörös ivanov smirnov kuznetsov popov vasiliev petrov sokolov mikhailov novikov
fedorov morozov volkov lebedev kozlov shevchenko kovalenko bondarenko tkachenko melnyk kravchenko popa popescu ionescu
dumitru stan stoica gheorghe rusu horvat kovač babić marić jurić novak petrović jovanović nikolić marković đorđević
papadopoulos georgiou papadakis nikolaidis yılmaz kaya demir çelik şahin yıldız öztürk aydın arslan doğan hassan
hussein ahmad ibrahim mahmoud rahman khalil haddad nasser saleh mansour aziz abdi omar mohamud zhang liu huang zhao wu
zhou xu sun ma zhu hu guo he gao lin luo cheung chan cheng yeung tang tanaka suzuki sato takahashi watanabe ito
yamamoto nakamura kobayashi kato yoshida yamada sasaki matsumoto inoue kimura hayashi shimizu yamazaki mori abe ikeda
hashimoto ishikawa arata choi jung kang cho yoon jang lim pham hoang phan vu dang bui okafor okonkwo adeyemi mensah
owusu boateng dlamini nkosi ndlovu mokoena mwangi kamau odhiambo ochieng diallo traore cohen levi levy katz friedman
goldberg rosen shapiro kaplan
"""
SURNAMES = frozenset(_SURNAMES.split())

# Endings that mark a family name where the word itself is in no list. Four letters or more must stand before them.
_ENDINGS = """
ová sson dóttir dottir ssen nsen rsen ski ska czyk wicz owicz evich ovich ović ević escu enko chuk ova eva ova yan ian
oğlu oglu mann poulos idis akis stein berg ström quist qvist shvili dze ellini etti ucci ález érez ínez opez quez
ovsky evsky
"""
ENDINGS = tuple(_ENDINGS.split())

_PARTICLES = "van von der den de del della di da dos das du la le al el bin ibn ter ten af zu zur abu ben o' mac mc st "
PARTICLES = frozenset(_PARTICLES.split())
