"""Subtitles of a recording: SubRip (.srt) and WebVTT (.vtt)."""

from collections.abc import Sequence

Line = tuple[str, float, float]
"""Text, and the seconds at which it begins and ends."""


def srt(lines: Sequence[Line]) -> str:
    """The content of an .srt file; lines without text are left out."""
    shown = [line for line in lines if line[0]]
    blocks = [
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n"
        for number, (text, start, end) in enumerate(shown, 1)
    ]
    return "\n".join(blocks)


def vtt(lines: Sequence[Line]) -> str:
    """The content of a .vtt file; lines without text are left out, and markup in texts is escaped."""
    blocks = [f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text)}\n" for text, start, end in lines if text]
    return "\n".join(["WEBVTT\n", *blocks])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, mark: str) -> str:
    """Hours:minutes:seconds and, after `mark`, milliseconds."""
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"
