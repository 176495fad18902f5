"""English words that are written in several ways and said in one: abbreviations, acronyms, spellings.

Only forms that sound alike are brought together, or that a reader could not tell apart from the written text; "it's" and
"it is" stay two things. Lower-case words in, lower-case words out.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

from collections.abc import Sequence

_SHORT = {
    "mr": "mister", "mrs": "missus", "dr": "doctor", "messrs": "messieurs", "prof": "professor", "inc": "incorporated",
    "corp": "corporation", "ltd": "limited", "vs": "versus", "jr": "junior", "sr": "senior", "esq": "esquire",
    "dept": "department", "assn": "association", "bros": "brothers", "ave": "avenue", "blvd": "boulevard",
    "etc": "et cetera", "ok": "okay", "okey": "okay", "approx": "approximately", "govt": "government",
    "gov't": "government", "dep't": "department", "int'l": "international", "nat'l": "national", "ass'n": "association",
    "feb": "february", "apr": "april", "aug": "august", "sept": "september", "oct": "october", "nov": "november",
    "dec": "december", "jan": "january", "ie": "that is", "eg": "for example", "viz": "namely", "capt": "captain", "sgt": "sergeant",
    "lt": "lieutenant", "rev": "reverend", "hon": "honorable", "honourable": "honorable", "phd's": "phds", "mgmt": "management", "hwy": "highway",
}  # fmt: skip
_ROMAN = {
    "ii": "two", "iii": "three", "vii": "seven", "viii": "eight", "xii": "twelve", "xiii": "thirteen", "xiv": "fourteen",
    "xvi": "sixteen", "xvii": "seventeen", "xviii": "eighteen", "xix": "nineteen",
}  # fmt: skip
_PART_ROMAN = {
    "i": "one",
    "iv": "four",
    "v": "five",
    "vi": "six",
    "ix": "nine",
    "x": "ten",
    "xi": "eleven",
    "xv": "fifteen",
}
_PARTS = frozenset("article articles title chapter amendment phase annex tier".split())
_UNITS = {  # "$5" and "5 km" do not show whether one or several are named
    "dollars": "dollar", "euros": "euro", "pounds": "pound", "cents": "cent", "kilometers": "kilometer",
    "miles": "mile", "feet": "foot", "degrees": "degree",
}  # fmt: skip
_LOST = {  # apostrophes that a writer left out; not its, were, well, wed, shed, hell, ill, id, lets, wont
    "dont": "don't", "doesnt": "doesn't", "didnt": "didn't", "isnt": "isn't", "arent": "aren't", "wasnt": "wasn't",
    "werent": "weren't", "havent": "haven't", "hasnt": "hasn't", "hadnt": "hadn't", "wouldnt": "wouldn't",
    "couldnt": "couldn't", "shouldnt": "shouldn't", "cant": "can't", "im": "i'm", "ive": "i've", "youre": "you're",
    "youve": "you've", "youll": "you'll", "theyre": "they're", "theyve": "they've", "theyll": "they'll", "weve": "we've",
    "whats": "what's", "thats": "that's", "heres": "here's", "theres": "there's", "wheres": "where's", "hows": "how's",
    "whos": "who's", "oclock": "o'clock", "itll": "it'll", "thatll": "that'll", "yall": "y'all",
}  # fmt: skip
_SOUNDS = {"umm": "um", "ummm": "um", "uhh": "uh", "uhm": "um", "hm": "hmm", "hmmm": "hmm", "mmhmm": "mhm", "mmm": "mm"}
_SOUNDS |= {"yup": "yep", "alright": "all right", "cuz": "cause"}
_BRITISH = {
    "centre": "center", "centres": "centers", "theatre": "theater", "metre": "meter", "litre": "liter", "fibre": "fiber",
    "defence": "defense", "offence": "offense", "licence": "license", "pretence": "pretense", "judgement": "judgment",
    "judgements": "judgments", "programme": "program", "programmes": "programs", "cheque": "check", "cheques": "checks",
    "grey": "gray", "enrol": "enroll", "fulfil": "fulfill", "instalment": "installment", "instalments": "installments",
    "skilful": "skillful", "wilful": "willful", "wilfully": "willfully", "analyse": "analyze", "analysed": "analyzed",
    "analyses": "analyzes", "analysing": "analyzing", "paralysed": "paralyzed", "catalogue": "catalog", "dialogue": "dialog",
    "acknowledgement": "acknowledgment", "ageing": "aging", "cosy": "cozy", "jewellery": "jewelry", "storey": "story",
    "tyre": "tire", "tyres": "tires", "mum": "mom", "plough": "plow", "sceptical": "skeptical", "towards": "toward",
    "organisation": "organization", "organisations": "organizations", "defences": "defenses", "offences": "offenses",
    "licences": "licenses", "metres": "meters", "litres": "liters", "kilometre": "kilometer", "kilometres": "kilometer",
}  # fmt: skip
del _BRITISH["towards"], _BRITISH["mum"]  # these sound different
_OUR = (
    "colour favour honour labour neighbour behaviour endeavour harbour humour rumour vapour flavour favourite".split()
)
_ISE = (
    "organis recognis realis authoris capitalis amortis apologis summaris minimis maximis utilis finalis prioritis "
    "emphasis criticis standardis specialis normalis characteris categoris monetis optimis stabilis subsidis penalis "
    "legalis harmonis formalis customis modernis memoris scrutinis securitis crystallis generalis neutralis visualis"
).split()
_DOUBLED = "cancel travel label model signal counsel level marshal total channel initial fuel duel quarrel".split()
_ENDINGS = ("", "s", "ed", "ing", "able", "ful", "er", "ers", "al", "hood", "ite", "ites", "d")
_BRITISH |= {
    name + end: name.replace("our", "or") + end for name in _OUR for end in _ENDINGS if not (name + end).endswith("es")
}
_BRITISH |= {
    stem + end: stem[:-1] + "z" + end
    for stem in _ISE
    for end in ("e", "es", "ed", "ing", "ation", "ations", "er", "ers")
}
del _BRITISH["emphasises"], _BRITISH["emphasise"]
_BRITISH |= {"emphasise": "emphasize", "emphasises": "emphasizes"}
_BRITISH |= {f"{stem}l{end}": stem + end for stem in _DOUBLED for end in ("ed", "ing", "er", "ers")}

_ONE = {**_SHORT, **_ROMAN, **_UNITS, **_LOST, **_SOUNDS, **_BRITISH}
_TWO = {("per", "cent"): "percent", ("e", "mail"): "email", ("e", "mails"): "emails", ("o", "clock"): "o'clock",
        ("mm", "hmm"): "mhm",  ("et", "seq"): "et seek", ("mm", "hm"): "mhm", ("web", "site"): "website"}  # fmt: skip
_SAINTS = frozenset(
    "andrew andrews anne barts charles clair cloud francis george helena helens ives james john johns joseph kitts "
    "lawrence louis lucia luke mark martin mary matthew michael michaels nicholas patrick patricks paul paulo pauls "
    "peter peters petersburg philip stephen thomas vincent".split()
)
_FELLOWS = frozenset("founder founders chair chairs ceo worker workers op author counsel pilot exist pay host".split())
_KNOWN = frozenset(  # acronyms that end or begin with "a", "i" or "v", and those that these words stand beside
    "us usa uk eu un tv dc am pm pc cd gm ai agm api apa apr atm ada aml abs adr ap apy asp aa aaa abc ira irs ip ipo it "
    "its id isp ifrs ias iso irb ica cia cpa cfa cba mba spa epa fda usda va hoa nda sba doa ama aca fca wa la ca pa ga "
    "fbi cpi roi oem rsu usaid uspto usps usmc ct mri phd phds dmca pgp gdpi api ui kpi kpis dui nih ii loi hr pr qa fdic sec ceo cfo coo cto cio llc llp nyse gdp eps".split()
)
_PLURALS = frozenset(f"{letter}s" for letter in "bcdefghjklnopqrtwxyz")


def one_wording(words: Sequence[str]) -> list[str]:
    """The words in the form that scores compare. Idempotent."""
    words = _letters_joined(words)
    found = list[str]()
    for place, word in enumerate(words):
        changed = _ONE.get(word) or _by_neighbours(words, place)
        found += changed.split() if changed else [word]
    return _in_pairs(found)


def _in_pairs(words: Sequence[str]) -> list[str]:
    found = list[str]()
    for word in words:
        pair = _TWO.get((found[-1], word)) if found else None
        if pair:
            found[-1:] = pair.split()
        else:
            found.append(word)
    return found


def _by_neighbours(words: Sequence[str], place: int) -> str | None:
    """ "v", "st", "co" and Roman numbers: what they mean is told by the words around them."""
    word = words[place]
    if len(word) > 2 or word not in ("v", "st", "co", "i", "iv", "vi", "ix", "x", "xi", "xv"):
        return None
    before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
    if word in _PART_ROMAN and before in _PARTS:
        return _PART_ROMAN[word]
    if word == "v" and len(before) > 1 and len(after) > 1:
        return "versus"
    if word == "st":
        return "saint" if after.removesuffix("'s") in _SAINTS else "street"
    if word == "co" and before and after not in _FELLOWS and (before == "and" or not after):
        return "company"
    return None


def _letters_joined(words: Sequence[str]) -> list[str]:
    """ "u s c" as "usc": nobody can hear which of the two was meant. "a" and "i" beside an acronym stay words."""
    found, letters = list[str](), list[str]()
    for word in words:
        single = len(word) == 1 and not word.isdigit()
        if single or (letters and _is_plural(letters, word)):
            letters.append(word)
        else:
            found += [*acronym("".join(letters)), word] if letters else [word]
            letters = []
    return found + acronym("".join(letters)) if letters else found


def _is_plural(letters: Sequence[str], word: str) -> bool:
    """Whether a word is the last letter of an acronym with an s: "c e os", "u s c's"."""
    return (
        word in _PLURALS
        or (len(word) == 3 and word.endswith("'s"))
        or (len(word) == 2 and word[1] == "s" and "".join(letters) + word[0] in _KNOWN)
    )


def acronym(letters: str) -> list[str]:
    """Lower-case letters told one after the other as one acronym, or as two where only that makes sense."""
    if len(letters) > 2 and letters not in _KNOWN:
        if letters[0] in "ai" and letters[1:] in _KNOWN:
            return [letters[0], letters[1:]]
        if letters[-1] in "aiv" and letters[:-1] in _KNOWN:
            return [letters[:-1], letters[-1]]
        if letters[:2] in ("us", "uk", "eu") and len(letters) > 4:
            return [letters[:2], letters[2:]]
        half = len(letters) // 2
        if half > 1 and letters[:half] == letters[half:]:
            return [letters[:half]] * 2
        for cut in range(2, len(letters) - 1):
            if letters[:cut] in _KNOWN and letters[cut:] in _KNOWN:
                return [letters[:cut], letters[cut:]]
    return [letters]
