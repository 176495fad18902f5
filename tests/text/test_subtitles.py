from asr_analogy.text.subtitles import srt, vtt

LINES = [("so ordered", 0.0, 1.9996), ("", 2.0, 3.0), ("A & B <v.> C", 3599.999, 36_061.5)]


def test_srt() -> None:
    assert srt(LINES) == (
        "1\n00:00:00,000 --> 00:00:02,000\nso ordered\n\n2\n00:59:59,999 --> 10:01:01,500\nA & B <v.> C\n"
    )
    assert srt([]) == ""


def test_vtt() -> None:
    assert vtt(LINES) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nso ordered\n\n00:59:59.999 --> 10:01:01.500\nA &amp; B &lt;v.&gt; C\n"
    )
    assert vtt([]) == "WEBVTT\n"
