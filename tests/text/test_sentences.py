"""Lines to sentences. A paragraph is the known sentences joined by a space, so each row is also its own answer."""

import time

import pytest

from asr_analogy.text.sentences import Line, sentences, split_sentences

CASES = [
    # citations
    ["Mr. Smith v. Jones was filed.", "See No. 5 and Nos. 6 and 7."],
    ["The U.S. Supreme Court cited 42 U.S.C. § 1983.", "It cost $1.25 million.", "Section 4.2 applies."],
    ["The claim rests on Smith v. Jones, 42 U.S.C. § 1983, and Nos. 21-1234 and 21-1240.", "Both were joined."],
    ["See 5 C.F.R. pt. 1201.", "Id. at 5.", "The rule is settled."],
    ["Id. § 12.", "Id. at 44.", "See also Ex. A and Ex. 14."],
    ["Fed. R. Civ. P. 12(b)(6) applies.", "$5 was paid.", "§ 3 is void.", "In 2019.", "Next."],
    ["Cf. Doe v. Roe, 12 F. Supp. 3d 45 (S.D.N.Y. 2014).", "We disagree."],
    ["The panel relied on 17 F.4th 1224, 1231 (Fed. Cir. 2021).", "That was error."],
    ["Brown et al. v. Green Corp. et al. went to trial.", "The jury was out for a day."],
    ["Art. II and Sec. 4 apply, e.g. to taxes, i.e. fees, etc. and so on.", "They end."],
    ["Under Art. IV, Cl. 2, the fee is due.", "Pt. III says so.", "Vol. 2 does not."],
    ["Mass. Gen. Laws ch. 93A governs.", "Cal. Civ. Code § 1714 does not.", "Neither was pleaded."],
    ["The Sixth Cir. reversed and the Ct. of Appeals followed.", "Nobody was surprised."],
    ["In re Baker, No. 19-cv-201, was dismissed.", "Case No. 7 goes on."],
    ["Hon. Mary T. Lane presided.", "Sgt. Ray Fox testified for the state."],
    ["The Dep't of Labor and the Int'l Trade Comm'n wrote letters.", "Neither was read."],
    ["He cites para. 12, pp. 5-7 and n. 3 of the brief.", "The brief has no n. 3."],
    ["See 12 Stat. 503.", "See App. B at 9.", "See Fig. 2."],
    ["Compare Tex. Penal Code § 9.01.", "Compare Tex. Bus. & Com. Code § 2.207."],
    # the same letters as a word or an abbreviation
    ["No.", "I did not.", "The answer is no.", "Lawyers know."],
    ["We reached a critical mass.", "Members joined.", "He fell ill.", "Doctors came."],
    ["It is a work of art.", "Buyers waited.", "The cat was on the app.", "Users laughed."],
    ["Give it to me.", "Kim agreed.", "They want in.", "Fine."],
    ["We filed it with the SEC.", "Tom Brady spoke next.", "Ask the FBI.", "Good luck."],
    ["The notice is sent under Section K.", "Either party may send it.", "See Exhibit B.", "Rent rose."],
    ["They rang the S E C.", "Brokers paid.", "J. P. Lane paid."],
    ["Bring the deed, the keys, etc.", "Tenants sign first.", "Who signs the deed?", "and when?"],
    # times and dates
    ["He came at 5 p.m. on Jan. 5.", "Then Dr. J. Smith of Acme Inc. met Beta Corp. and Gamma Ltd. there."],
    ["The hearing began at 10 a.m.", "Mr. Smith spoke first."],
    ["At 10 a.m. Mr. Smith took the stand.", "He left by noon."],
    ["We open at 9 a.m. Eastern Time.", "We close at 5 p.m. Friday.", "Calls end at 6 p.m."],
    ["The board met from 9 a.m. to 11 a.m. and rose.", "Nobody stayed past 2 p.m. that day."],
    ["It ended at 4:30 p.m.", "Counsel objected."],
    ["The note is due Sept. 30, 2026.", "The first coupon is due Dec. 1."],
    ["They met in Feb. and again in Oct.", "They did not meet in Nov."],
    # money and numbers
    ["Sales rose to $1.25 million (5.5%).", "Costs fell 0.3% to €4.2 bn."],
    ["EPS was $.45.", "Guidance is $1.80 to $1.95.", "Shares gained 3.5 points."],
    ["Net debt/EBITDA was 2.4x.", "Free cash flow was $12 mm.", "10 banks took part."],
    ["Version 3.2.1 shipped.", "2.5 percent of users moved."],
    ["We paid No. 4 of 12.", "The rest follows."],
    ["The yield is 4.25%.", "-5 basis points is the move."],
    # companies and names
    ["We met at 5 p.m.", "The rest sued Acme Inc.", "The U.S.", "It won."],
    ["He joined Delta Co. Ltd. and left Omega Bros. Inc. in May.", "He sued Omega Bros.", "Plaintiffs won."],
    ["Yahoo! Inc. and Acme Corp. merged.", "Both fell."],
    ["J. A. Smith and R. B. G. Lane signed.", "John F. Doe did not."],
    ["Martin Luther King Jr. spoke on Dr. Martin Luther King Jr. Blvd. in St. Louis.", "It rained."],
    ["Ms. Ruiz, Esq. and Ph.D. students met Gov. Hale.", "They talked."],
    ["The U.S. Treasury and the U.K. Government signed.", "Washington, D.C. was quiet."],
    ["She lives in the U.S.", "He does not.", "I live in the U.K.", "Why?"],
    ["Vitamin C is fine.", "Try plan B.", "The next plan is C."],
    # quotes and brackets
    ['"Really?" she asked.', '"Yes."', "He left...", "Then 3 came!", "(He did.)", "So it ended."],
    ["“Is it signed?” Mr. Hall asked.", "“It is.”", "“When?”", "“On Monday,” she said."],
    ['He said "stop."', 'She said "go!"', "They went."],
    ["‘Never!’ the clerk replied.", "Nobody spoke."],
    ["The clause (see Sec. 4) is void.", "[The witness nods.]", "“(Pause.)”", "Go on."],
    ["Is that so?!", "It is!!", "Well?", "OK."],
    # enumerations
    ["1. The parties agree.", "(a) Fees are due."],
    ["1. The parties agree.", "2. The fees are due.", "iv. The term ends.", "B. Notices are in writing."],
    ["1.2. Terms are defined below.", "10.3.1. Notices are sent by post."],
    ["Section 2. Members pay dues.", "Article IV. The board meets monthly.", "It votes."],
    ["Q. Did you sign it?", "A. Yes.", "Q. When?", "A. In May."],
    # ellipses and dashes
    ["The court held . . . that the fee was due.", "It was not."],
    ["He told . . . Smith to wait. . . .", "Smith left."],
    ["Well… we wait.", "So…", "I mean, it is late.", "OK… fine."],
    ["He paused — then spoke.", "– Nobody heard.", "It was over -- at last."],
    # web addresses
    ["Go to www.acme.com.", "See https://acme.com/a.b?c=d.e for terms.", "Write to j.doe@acme.co.uk.", "Thanks."],
    ["The file is a.txt.", "Open it with node.js or .NET 8.", "It works."],
    ["Some fund, e.g., the pension fund, pays.", "Others, i.e., banks, lend.", "Rates vary, cf. Table 2."],
    # other scripts
    ["Où est-il ?", "Élan vital.", "¿Dónde?", "Él no sabe."],
]
WIDE = [
    ["合同已经签署。", "甲方应于三日内付款！", "乙方同意吗？", "同意。"],
    ["他说：“我不同意。”", "会议结束了。"],
    ["第3.2条规定，利率为4.5%。", "自2021年起施行。"],
    ["「行こう！」と彼は言った。", "会議は終わった。"],
    ["会議は午後三時に始まる。", "（資料は後で送る。）", "質問は？", "ない。"],
    ["你好!", "我们开始吧?", "好。"],
]


@pytest.mark.parametrize("known", CASES, ids=lambda known: known[0])
def test_splits_a_paragraph(known: list[str]) -> None:
    paragraph = " ".join(known)
    found = list(split_sentences(paragraph))
    assert [text for _, text in found] == known
    assert all(paragraph[offset:].startswith(text) for offset, text in found)


@pytest.mark.parametrize("known", WIDE, ids=lambda known: known[0])
@pytest.mark.parametrize("space", ["", " "], ids=["tight", "spaced"])
def test_splits_chinese_and_japanese(known: list[str], space: str) -> None:
    assert [text for _, text in split_sentences(space.join(known))] == known


def lines(text: str) -> list[Line]:
    return [Line(number, row) for number, row in enumerate(text.split("\n"), 1)]


def test_wrapped_lines_are_joined() -> None:
    found = sentences(lines("The board met Mr.\nSmith of the U.S.\nTreasury at noon. It\nended early.\nAll left"))
    assert list(found) == [
        (1, "The board met Mr. Smith of the U.S. Treasury at noon."),
        (3, "It ended early."),
        (5, "All left"),
    ]


def test_chinese_lines_are_joined_without_a_space() -> None:
    assert list(sentences(lines("甲方应于三日\n内付款。乙方\n同意。\n\n会议结束"))) == [
        (1, "甲方应于三日内付款。"),
        (2, "乙方同意。"),
        (5, "会议结束"),
    ]


def test_short_line_before_a_wrapped_paragraph_is_a_heading() -> None:
    text = (
        "Results of Operations\n"
        "Revenue for the quarter rose to twelve million dollars because of\n"
        "Asian sales, and costs fell. Management expects the same of the\n"
        "next quarter.\nLiquidity\n"
        "Cash was ample during all of the period under review, as before."
    )
    assert [found for _, found in sentences(lines(text))] == [
        "Results of Operations",
        "Revenue for the quarter rose to twelve million dollars because of Asian sales, and costs fell.",
        "Management expects the same of the next quarter.",
        "Liquidity",
        "Cash was ample during all of the period under review, as before.",
    ]


def test_lines_without_punctuation_stay_lines() -> None:
    text = "SO WE MET AT NOON\n" * 99 + "AND LEFT."
    assert len(list(sentences(lines(text)))) == 100


def test_items_after_a_semicolon_are_texts_of_their_own() -> None:
    text = "The lender may:\n(a) call the loan;\n(b) sell the\npledge; and\n(c) sue. It\nmay not wait."
    assert [found for _, found in sentences(lines(text))] == [
        "The lender may:",
        "(a) call the loan;",
        "(b) sell the pledge; and",
        "(c) sue.",
        "It may not wait.",
    ]


@pytest.mark.parametrize(
    "piece", ["See No. 5, ", "word ", "U.S. Acme Inc. ", "A. ", "((", "... ", "e.g. X ", "。", "(a) "]
)
def test_time_is_linear_in_the_length_of_a_paragraph(piece: str) -> None:
    def seconds(count: int) -> float:
        begin = time.process_time()
        list(split_sentences(piece * count))
        return time.process_time() - begin

    assert min(seconds(20_000) for _ in range(2)) < 40 * min(seconds(2_000) for _ in range(3)) + 0.05
