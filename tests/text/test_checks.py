"""What is not spoken and why, repeated texts, private numbers."""

import pytest

from asr_analogy.errors import RecipeError
from asr_analogy.text.checks import fingerprint, function_words, redact, refusal

KEPT = [
    "Yes.",
    "555.",
    "OFFER TO PURCHASE FOR CASH",
    "See 42 U.S.C. § 1983.",
    "In re Nos. 21-1234, 21-1240 (9th Cir. 2022).",
    "Roe v. Wade, 410 U.S. 113 (1973), is overruled.",
    "It earned $1.25 million (5.5%) in Q3 2019 vs. $1.1 million (4.9%).",
    "Dial 1 800 555 1234.",
    "No, no, no, no, no, I said mmm.",
    "The L_C_D_ of the M_P_three player.",
    "The doctrine of res ipsa loquitur does not lie in rem.",
    "Banco de la Nación del Perú filed a claim in the Southern District.",
    "Société Générale and Crédit Agricole were fined by the regulator.",
    "Take 20mg b.i.d., then 10mg q.h.s.",
    "[t]he plaintiff <unk> must show [laughter] harm",
    "Non-governmental/intergovernmental-organisation-related obligations persist.",
]
REFUSED = [
    ("...", "no letter or digit"),
    ("", "no letter or digit"),
    ("12,345 11,234 (10,987) 4.5% 2019", "few letters (0 of 28 characters): a table or a formula"),
    ("Revenue 12,345 11,234 (10,987)", "a row of a table (3 numbers in 4 words)"),
    ("x^2 + 3*(y-1)^2 = 4", "few letters (2 of 15 characters): a table or a formula"),
    ("for (i = 0; i <= n; i++) { total[i] = rows[i]; }", "code or markup"),
    ("| Name | Amount | Due | Paid |", "code or markup (5 marks such as brackets and bars)"),
    ("2. Definitions . . . . . . . . . 14", "a line of a table of contents or a form"),
    ("Signature of the tenant ________", "a line of a table of contents or a form"),
    ("the key is " + "d41d8cd98f00b204" * 3, "a word of 48 characters"),
    ("the cafÃ© shall close", "broken characters ('Ã©'): the text was decoded wrongly"),
    ("the landlordâ€™s duty", "broken characters"),
    ("the land\ufffdord", "broken characters"),
    ("the \ue001rst clause", "broken characters"),
    ("Ð´Ð¾Ð³Ð¾Ð²Ð¾Ñ€", "broken characters"),
    ("It is sooooooooo late", "repeated characters ('ooooooooo')"),
    ("the the the the the the the the the court", "repeated words ('the', 8 times or more in a row)"),
    ("T H E P A R T I E S", "letters with spaces between them"),
    ("Договор вступает в силу", "not in Latin script (0 of 20 letters)"),
    ("本协议自双方签字之日起生效。", "not in Latin script (0 of 13 letters)"),
]


@pytest.mark.parametrize("text", KEPT)
def test_speech_is_kept(text: str) -> None:
    assert refusal(text) is None


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_debris_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert (refusal(text) or "kept").startswith(reason)


def test_limits_are_parameters() -> None:
    assert refusal("two words", fewest_words=3) == "fewer than 3 words (2)"
    assert refusal("two words", most_characters=8) == "longer than 8 characters (9)"
    assert refusal("ab 12345678", letter_share=0.5) == "few letters (2 of 10 characters): a table or a formula"
    assert refusal("本协议生效", "zh", fewest_words=5) is None
    assert refusal("本协议生效", "zh", fewest_words=6) == "fewer than 6 words (5)"
    with pytest.raises(RecipeError, match="a share from 0 to 1"):
        refusal("text", letter_share=30)


SENTENCES = {
    "en": "The tenant shall pay the rent on the first day of each month.",
    "de": "Der Mieter hat die Miete bis zum dritten Werktag eines Monats zu zahlen.",
    "fr": "Le locataire doit payer le loyer au plus tard dans les cinq jours du mois.",
    "es": "El inquilino debe pagar la renta por adelantado y no más tarde del día cinco.",
    "it": "Il conduttore non è tenuto al pagamento delle spese che sono a carico del locatore.",
    "pt": "O inquilino não pode ceder o imóvel sem autorização escrita do senhorio, mas pode ter hóspedes.",
    "nl": "De huurder moet de huur betalen voor het einde van de maand en mag niet onderverhuren.",
    "sv": "Hyresgästen ska betala hyran i förskott och får inte hyra ut lägenheten till någon som inte är godkänd.",
    "pl": "Najemca nie może oddać lokalu do używania osobie trzeciej, jeśli nie jest to zapisane w umowie.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_other_languages_in_the_same_script(language: str) -> None:
    reasons = {written: refusal(sentence, language) for written, sentence in SENTENCES.items()}
    assert reasons.pop(language) is None
    assert all(reason is None or "looks like language" in reason for reason in reasons.values())
    missed = {written for written, reason in reasons.items() if reason is None}
    assert "en" not in missed and len(missed) <= (0 if language == "en" else 2)


SCRIPTS = {
    "ru": "Договор вступает в силу с момента подписания.",
    "el": "Η σύμβαση τίθεται σε ισχύ αμέσως.",
    "he": "ההסכם ייכנס לתוקף מיד.",
    "ar": "يدخل العقد حيز التنفيذ فورا.",
    "hi": "यह अनुबंध तुरंत प्रभाव से लागू होगा।",
    "th": "สัญญานี้มีผลบังคับใช้ทันที",
    "ko": "이 계약은 즉시 효력을 발생한다.",
    "zh": "本协议(Agreement)自双方签字之日起生效。",
    "ja": "本契約は署名の日から効力を生じる。",
}


@pytest.mark.parametrize("language", SCRIPTS)
def test_scripts(language: str) -> None:
    assert refusal(SCRIPTS[language], language) is None
    assert "not in Latin script" in (refusal(SCRIPTS[language]) or "")
    assert "script (0 of" in (refusal("It takes effect at once.", language) or "")


def test_unknown_languages_are_not_checked() -> None:
    assert refusal(SENTENCES["de"], "xx") is None
    assert refusal(SENTENCES["de"], "sw") is None
    assert not function_words("xx") and "the" in function_words("en")


def test_a_fingerprint_ignores_case_punctuation_and_spaces() -> None:
    for same in (["Pay the rent.", "pay  the RENT!", "Pay the rent"], ["don\u2019t", "Don't."]):
        assert len({fingerprint(text) for text in same}) == 1
    different = ["$5", "5%", "5", "...", "?", "Pay the rents."]
    assert len({fingerprint(text) for text in different}) == len(different)
    assert len({fingerprint(f"clause {number}") for number in range(20_000)}) == 20_000


PRIVATE = [
    ("Write to jane_doe+x@firm.co.uk.", "Write to the e-mail address."),
    ("E-mail: a@b.org, now", "E-mail: withheld, now"),
    ("Call 212-555-0147 today.", "Call the phone number today."),
    ("Call (212) 555-0147.", "Call the phone number."),
    ("Her number is 1-800-555-0199.", "Her number is withheld."),
    ("reach us at +44 20 7946 0958 or", "reach us at the phone number or"),
    ("reach us at +1 (212) 555-0147.", "reach us at the phone number."),
    ("at 020 7946 0958", "at the phone number"),
    ("at 07700 900123", "at the phone number"),
    ("au 01 23 45 67 89", "au the phone number"),
    ("Please dial 212 555 0147 now", "Please dial the phone number now"),
    ("Ring me on 555-0147.", "Ring me on the phone number."),
    ("Phone no. 212-555-0147", "Phone no. withheld"),
    ("Her SSN is 123-45-6789.", "Her SSN is withheld."),
    ("under 123-45-6789 he", "under the social security number he"),
    ("card 4111 1111 1111 1111, expiring", "card withheld, expiring"),
    ("paid with 378282246310005 in May", "paid with the card number in May"),
    ("to GB29 NWBK 6016 1331 9268 19.", "to the bank account."),
    ("IBAN: DE89370400440532013000", "IBAN: withheld"),
    ("Wire it to account number 12345678.", "Wire it to account number withheld."),
    ("her account 0012-345-678 and", "her account withheld and"),
    ("The routing number is 021000021.", "The routing number is withheld."),
    ("account ending in 00123456", "account ending in the account number"),
]
PUBLIC = [
    "No. 21-1234",
    "Nos. 20-1199 and 21-707",
    "Case No. 2:19-cv-01234-ABC",
    "Docket No. 312-555-1234",
    "No. 555-1234",
    "18-CR-204 (JPO)",
    "42 U.S.C. § 1983",
    "Section 230(c)(1)",
    "Rule 10b-5",
    "§ 240.10b-5",
    "17 C.F.R. § 229.303",
    "410 U.S. 113, 164-1650 (1973)",
    "$4,111,111,111,111",
    "$4111111111111111",
    "$1.25 million (5.5%)",
    "fiscal 2018-2019",
    "the account 2018-2019",
    "an account 2019-03-04 statement",
    "on account of 120,000 shares",
    "12/31/2019",
    "31-12-2019",
    "2019-12-31",
    "10:30 a.m. to 4:45 p.m.",
    "EIN 12-3456789",
    "U.S. Patent No. 10,123,456",
    "ISBN 978-3-16-148410-0",
    "4111 1111 1111 1112",
    "GB29 NWBK 6016 1331 9268 18",
    "000-12-3456 and 900-12-3456",
    "call options at 200-1500",
    "rows of 250 300 4500 units",
    "up +12345 points, +1.5 percent",
    "2,000-3,000 employees",
    "follow @github or see example.com",
    "Form 10-K for 2020, page 1234567890",
    "1-800 customers",
    "version 3.2.1-4567",
    "pages 345-3456",
    "90210-1234",
]


@pytest.mark.parametrize(("text", "expected"), PRIVATE)
def test_private_numbers_are_taken_out(text: str, expected: str) -> None:
    found, counts = redact(text)
    assert found == expected
    assert sum(counts.values()) == 1


@pytest.mark.parametrize("text", PUBLIC)
def test_public_numbers_stay(text: str) -> None:
    assert redact(text) == (text, {})


def test_redaction_counts_by_kind() -> None:
    text, counts = redact("a@b.org and c@d.org, tel. 212-555-0147")
    assert text == "the e-mail address and the e-mail address, tel. withheld"
    assert counts == {"e-mail address": 2, "phone number": 1}
    assert redact(text) == (text, {})
