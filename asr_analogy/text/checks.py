"""Sentences that should not be spoken, and why; what makes two sentences the same; private numbers taken out.

Everything here is conservative: a sentence is refused only when it can hardly be a sentence of the language.
"""
# ruff: noqa: SIM905 - a list of words reads best as one string

import re
import unicodedata
from collections import Counter
from hashlib import blake2b

from asr_analogy.errors import RecipeError
from asr_analogy.text.spoken import LONGEST, plain

_FUNCTION_WORDS = {
    "en": "a about after against all also although am among an and any are aren as at be because been before being "
    "between both but by can cannot could couldn did didn do does doesn doing don down during each either etc every few "
    "for from further had hadn has hasn have haven having he her here hers him his how however i if in into is isn it "
    "its itself just let ll may me might more most much must my myself neither no nor not now of off on once one only "
    "onto or other our ours out over own per same shall she should shouldn so some such than that the their theirs "
    "them themselves then there these they this those though through thus to too toward under until up upon us ve very "
    "was wasn we were weren what when where whether which while who whom whose why will with within without won would "
    "wouldn yes yet you your yours yourself um uh oh okay ok yeah hmm mhm",
    "de": "aber als am an auch auf aus bei bis das dass dem den der des die diese dieser doch durch ein eine einem "
    "einen einer eines er es für haben hat hier ich ihr im in ist ja kann kein keine mehr mit nach nicht noch nur oder "
    "sich sie sind so über um und uns von vor war was wenn werden wie wir wird wurde zu zum zur",
    "fr": "au aussi aux avec ce ces cette comme dans de des du elle en entre est et être fait il ils je la le les leur "
    "lui mais même ne nous on ont ou où par pas plus pour qu que qui sa sans se ses si son sont sur un une vous été",
    "es": "al como con de del desde donde el ella en entre era es esta este está fue ha hasta hay la las le lo los "
    "más me mi muy no nos o para pero por porque que qué se ser si sin sobre son su sus también un una uno y ya",
    "it": "ai al alla anche che chi ci come con da dal dalla de degli dei del della delle di e è gli ha ho i il in io "
    "la le lo ma mi nel nella non o per perché più questa questo se si sono su sua suo tra un una uno",
    "pt": "a ao aos as até com como da das de do dos e ela ele em entre era essa este está foi há isso já mais mas me "
    "muito na nas no nos não o os ou para pela pelo por quando que se sem ser seu sua são também um uma",
    "nl": "aan als bij dat de deze die dit door een en er geen had heb heeft het hij hun ik in is je kan maar met mijn "
    "naar niet nog of om ook op over te tot uit van voor was wat we werd wij worden wordt ze zich zij zijn zo",
    "sv": "alla att av de den denna det där efter eller en ett från för ha han har hon hur här i icke inte jag kan med "
    "men mig mot nu när och om på sig sin ska som så till under upp var vi vid än är över",
    "pl": "ale bez być by był była co czy dla do go i ich jak jako jego jej jest już który która które lub ma mnie może "
    "na nad nie o od oraz po pod przez przy się są także tego tej ten to tym w we z za że",
}
_LATIN = r"A-Za-zªºÀ-ÖØ-öø-ʯᴀ-ᵿḀ-ỿＡ-Ｚａ-ｚ"
_SCRIPTS = {  # ranges of letters and vowel signs
    "Latin": _LATIN,
    "Cyrillic": "Ѐ-ԯᲀ-\u1c8fⷠ-ⷿꙀ-ꚟ",
    "Greek": "Ͱ-Ͽἀ-῿",
    "Hebrew": "\u0590-\u05ffיִ-ﭏ",
    "Arabic": "\u0600-ۿݐ-ݿࢠ-\u08ffﭐ-\ufdffﹰ-ﻼ",
    "Devanagari": "\u0900-ॿ\ua8e0-ꣿ",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "Armenian": "\u0530-\u058f",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Chinese": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
    "Japanese": "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f々ー",
}
_WRITTEN_IN = {
    "Cyrillic": "be bg kk mk mn ru tg uk",
    "Greek": "el",
    "Hebrew": "he yi",
    "Arabic": "ar fa ps ur",
    "Devanagari": "hi mr ne sa",
    "Bengali": "as bn",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
    "Georgian": "ka",
    "Armenian": "hy",
    "Hangul": "ko",
    "Chinese": "zh yue",
    "Japanese": "ja",
    "Latin": "af br ca cs cy da de en es et eu fi fo fr gl hr hu id is it la lt lv mt nl nn no oc pl pt ro sk sl sq sv "
    "sw tl tr vi",
}
_SCRIPT_OF = {language: script for script, languages in _WRITTEN_IN.items() for language in languages.split()}
_LETTER = {script: re.compile(f"[{ranges}]") for script, ranges in _SCRIPTS.items()}
_UNSPACED = frozenset("Chinese Japanese Thai".split())
_WORDS_OF = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}

_TOKEN = re.compile(r"[^\W\d_]+")
_HIGH = "\u0080-¿€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"  # bytes 80 to BF, read as Latin-1 or Windows-1252
_MOJIBAKE = re.compile(
    rf"[\ufffd\ue000-\uf8ff\ud800-\udfff]|(?<![A-ZÀ-Ý])[ÃÂ][{_HIGH}]|â€|â[\x80-\x9f]|ï»¿|(?:[ÐÑ][{_HIGH}]){{2}}"
)
_MARKS = re.compile(r"[{}\[\]<>|\\^=~#*]")
_NOISE = re.compile(r"\[[a-z ]+\]|<[a-z ]+>")  # [laughter], <unk>, [t]he
_NUMBER = re.compile(r"[($€£-]*\d[\d.,]*[%)]*")
_FIGURE = re.compile(r"\d[.,]\d|[%()]")
_LEADERS = re.compile(r"(?:\.\s?){5,}\s*\w+$|_{4,}")
_STUTTER = re.compile(r"([^\W\d_])\1{5,}")
_CHANT = re.compile(r"\b([^\W\d_]+)(?:[\s,]+\1\b){7,}", re.IGNORECASE)
_ENDLESS = re.compile(r"[^\W_]{40,}")
_PUNCTUATION = re.compile(r"[^\w\s$£€¥%§+]|_")

_CITED = re.compile(
    r"(?:§|\b(?:no|docket|case|file|section|sec|rule|patent|claim|exhibit)s?\b)[.:#\s]*$", re.IGNORECASE
)
_CALLED = re.compile(
    r"\b(?:call(?!s? (?:option|price|feature|report))|dial|fax|mobile|cell|ring|text|tel|(?:tele)?phones?|hotline|contact)\b",
    re.IGNORECASE,
)
_BANKED = re.compile(
    r"\b(?:accounts?|acct|routing|sort code)(?: (?:numbers?|nos?|code))?[.:]?(?: is| ending(?: in)?)?[\s#:]*$",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:numbers?|nos?|accounts?|acct|card|iban|ssn|tel|fax|phone|e-?mail|address|code|is)[.:#\s]*$", re.IGNORECASE
)
_DATES = re.compile(r"(?:19|20)\d\d ?- ?(?:19|20)\d\d|(?:19|20)\d\d-\d\d-\d\d|\d\d-\d\d-(?:19|20)\d\d")
_ALONE, _ENDS = r"(?<![\w$£€¥.,/-])", r"(?![\w/%]|[.,-]\d)"
_PRIVATE = {  # in this order
    "e-mail address": re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"),
    "bank account": re.compile(rf"{_ALONE}[A-Z]{{2}}\d\d(?: ?[A-Z\d]{{4}}){{2,7}}(?: ?[A-Z\d]{{1,3}})?{_ENDS}"),
    "card number": re.compile(rf"{_ALONE}[2-6]\d{{3}}(?:[ -]?\d{{4,6}}){{2}}[ -]?\d{{1,7}}{_ENDS}"),
    "social security number": re.compile(rf"{_ALONE}(?!000|666|9)\d{{3}}-(?!00)\d\d-(?!0000)\d{{4}}{_ENDS}"),
    "account number": re.compile(rf"{_ALONE}\d(?:[ -]?\d){{5,16}}{_ENDS}"),
    "phone number": re.compile(
        rf"{_ALONE}(?:\+\d{{1,3}}(?:[ .-]?\(?\d{{1,4}}\)?){{2,6}}"
        rf"|\(?0\d{{2,4}}\)?[ -]\d{{3,4}}[ -]?\d{{3,4}}|0\d(?:[ .]\d\d){{4}}"
        rf"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{{4}}|[2-9]\d\d-\d{{4}}){_ENDS}"
    ),
}


def function_words(language: str) -> frozenset[str]:
    """The most frequent words of a language, lower case and without a meaning of their own; empty for one not known."""
    return _WORDS_OF.get(language, frozenset())


def refusal(
    text: str, language: str = "en", fewest_words: int = 1, most_characters: int = LONGEST, letter_share: float = 0.25
) -> str | None:
    """Why `text` is no sentence to speak, or None when it is one.

    `letter_share` is the least share of letters among all characters but spaces. `language` is a code such as "en";
    where we know neither its script nor its words, the language is not checked. Headings in capitals are kept.
    """
    if fewest_words < 0 or most_characters < 1 or not 0 <= letter_share <= 1:
        given = f"{fewest_words}, {most_characters}, {letter_share}"
        raise RecipeError(f"limits {given}: give words from 0, characters from 1 and a share from 0 to 1")
    return (
        _encoding(text)
        or _letters(text, letter_share)
        or _size(text, language, fewest_words, most_characters)
        or _layout(text)
        or _repetition(text)
        or _language(text, language)
    )


def fingerprint(text: str) -> int:
    """A 64-bit hash of a sentence in which case, punctuation and spaces do not count.

    Two different texts out of n have the same one with a probability of about n * n / 4e19.
    """
    return int.from_bytes(blake2b(_fold(text).encode("utf-8", "replace"), digest_size=8).digest(), "little")


def redact(text: str) -> tuple[str, dict[str, int]]:
    """The text without private addresses and numbers, and how many of each kind were taken out.

    E-mail addresses, phone numbers, bank accounts (IBAN by its check digits, others after the word account), cards (by
    the Luhn digit) and US social security numbers become words a voice can say: "the phone number", or "withheld"
    after a noun that says it already. Money, dates, years, sections and docket numbers stay; in doubt a number stays.
    """
    counts = Counter[str]()
    for kind, pattern in _PRIVATE.items():

        def replace(match: re.Match[str], kind: str = kind) -> str:
            before = match.string[: match.start()]
            if not _is_private(kind, match[0], before):
                return match[0]
            counts[kind] += 1
            return "withheld" if _NAMED.search(before) else f"the {kind}"

        text = pattern.sub(replace, text)
    return text, dict(counts)


def _is_private(kind: str, found: str, before: str) -> bool:
    digits = re.sub(r"\D", "", found)
    if kind == "bank account":
        code = re.sub(r"\s", "", found)
        return 15 <= len(code) <= 34 and int("".join(str(int(one, 36)) for one in code[4:] + code[:4])) % 97 == 1
    if kind == "card number":
        doubled = "".join(str(int(digit) * (2 - place % 2)) for place, digit in enumerate(digits[::-1], 1))
        return 13 <= len(digits) <= 19 and sum(map(int, doubled)) % 10 == 0
    if kind == "account number":
        return _BANKED.search(before[-40:]) is not None and not _DATES.fullmatch(found)
    if kind == "phone number":
        short = len(digits) < 8 or (" " in found and found[0] not in "+(01")
        called = _CALLED.search(before[-30:]) is not None
        return called if short else called or not _CITED.search(before[-30:])
    return True


def _fold(text: str) -> str:
    folded = _PUNCTUATION.sub(" ", plain(text).casefold().replace("'", ""))
    return " ".join(folded.split()) or text.strip()


def _size(text: str, language: str, fewest: int, most: int) -> str | None:
    script = _SCRIPT_OF.get(language, "")
    words = len(_LETTER[script].findall(text)) if script in _UNSPACED else 0
    words += sum(any(character.isalnum() for character in word) for word in text.split()) if not words else 0
    if words < fewest:
        return f"fewer than {fewest} words ({words})"
    if len(text) > most:
        return f"longer than {most} characters ({len(text)})"
    return None


def _encoding(text: str) -> str | None:
    found = _MOJIBAKE.search(text)
    return f"broken characters ({found[0]!r}): the text was decoded wrongly" if found else None


def _letters(text: str, share: float) -> str | None:
    """Letters here are also the vowel signs and joiners that many scripts cannot do without."""
    visible = [character for character in text if not character.isspace()]
    found = sum(character.isalpha() or unicodedata.category(character)[0] == "M" for character in visible)
    if not found and not any(character.isdigit() for character in visible):
        return "no letter or digit"
    if len(visible) >= 8 and found < share * len(visible):
        return f"few letters ({found} of {len(visible)} characters): a table or a formula"
    return None


def _layout(text: str) -> str | None:
    tokens = text.split()
    numbers = [token for token in tokens if _NUMBER.fullmatch(token)]
    if len(numbers) >= 3 and len(numbers) > 0.6 * len(tokens) and any(_FIGURE.search(token) for token in numbers):
        return f"a row of a table ({len(numbers)} numbers in {len(tokens)} words)"
    marks = len(_MARKS.findall(_NOISE.sub("", text)))
    if marks >= 4 and marks > 0.08 * len("".join(tokens)):
        return f"code or markup ({marks} marks such as brackets and bars)"
    if _LEADERS.search(text):
        return "a line of a table of contents or a form"
    if (found := _ENDLESS.search(text)) and not any(_LETTER[script].search(found[0]) for script in _UNSPACED):
        return f"a word of {len(found[0])} characters"
    return None


def _repetition(text: str) -> str | None:
    if found := _STUTTER.search(text):
        return f"repeated characters ({found[0][:10]!r})"
    if found := _CHANT.search(text):
        return f"repeated words ({found[1]!r}, 8 times or more in a row)"
    tokens = text.split()
    single = sum(len(token) == 1 and token.isalpha() for token in tokens)
    if single >= 6 and single >= 0.7 * len(tokens) and not any(_LETTER[script].search(text) for script in _UNSPACED):
        return "letters with spaces between them"
    return None


def _language(text: str, language: str) -> str | None:
    script = _SCRIPT_OF.get(language)
    if script is None:
        return None
    letters = [character for character in text if character.isalpha()]
    own = sum(_LETTER[script].match(character) is not None for character in letters)
    if own < 0.5 * len(letters):
        return f"not in {script} script ({own} of {len(letters)} letters)"
    return _foreign(text, language)


def _foreign(text: str, language: str) -> str | None:
    """Refuse where three different function words of another language stand, and more than two for each of ours."""
    expected = function_words(language)
    words = Counter(_TOKEN.findall(text.lower()))
    if not expected or len(words) < 4:
        return None
    ours = sum(count for word, count in words.items() if word in expected)
    for other, theirs in _WORDS_OF.items():
        found = [word for word in words if word in theirs and word not in expected]
        if len(found) >= 3 and sum(words[word] for word in found) > 2 * ours:
            return f"looks like language {other!r}, not {language!r} ({', '.join(found[:3])})"
    return None
