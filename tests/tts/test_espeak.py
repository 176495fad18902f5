"""The embedded voice: same request, same bytes; wrong voices and dead workers say so."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from asr_analogy.errors import MissingError, ResourceError
from asr_analogy.recipe import shipped
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.tts.espeak import NO_SUCH_VOICE, EspeakVoice, Request, Workers
from asr_analogy.tts.voice import EspeakCard, Line, load_card

CARDS = [card.stem for card in sorted(shipped("tts").glob("*.yaml")) if load_card(card.stem).backend == "espeak"]
REQUESTS = [
    Request("The minutes were approved.", "gmw/en-US+m1", 150, 40, 60),
    Request("Article 12 does not apply.", "gmw/en+klatt2", 180, 70, 30),
    Request("Net income rose by 4.5 percent.", "gmw/en-GB-x-rp+f5"),
    Request("Thank you.", "gmw/en-US"),
]


def card(*voices: str) -> EspeakCard:
    return EspeakCard(backend="espeak", licence="", voices=list(voices))


def test_same_request_same_bytes_whatever_order_and_workers() -> None:
    with Workers(1) as one, Workers(3) as three:
        first = list(one.speak(REQUESTS))
        assert all(status == 0 and len(pcm) > 20_000 for status, pcm in first)
        assert len({pcm for _, pcm in first}) == len(REQUESTS)
        again = list(three.speak(REQUESTS * 6, ahead=2))
        assert again == first * 6
        assert list(one.speak(reversed(REQUESTS)))[::-1] == first


def test_breath_and_klatt_draw_the_same_noise_in_every_second() -> None:
    """The engine seeds their noise with the time, unless it is told otherwise."""
    requests = [Request("Good morning, everyone.", f"gmw/en+{timbre}") for timbre in ("f2", "f5", "klatt4", "whisper")]
    with Workers(1) as early:
        first = list(early.speak(requests))
    time.sleep(1.1)
    with Workers(1) as late:
        assert list(late.speak(requests)) == first


def test_requests_are_taken_as_they_are_needed() -> None:
    taken = itertools.count()
    with Workers(2) as workers:
        endless = (REQUESTS[next(taken) % 4] for _ in itertools.repeat(None))
        answers = workers.speak(endless, ahead=3)
        assert [next(answers)[0] for _ in range(5)] == [0] * 5
        answers.close()
        assert next(taken) < 20
        assert list(workers.speak(REQUESTS[:1])) == list(workers.speak(REQUESTS[:1]))  # the pool is still in step


@pytest.mark.parametrize("name", CARDS)
def test_every_voice_of_every_shipped_card_speaks_and_differs(name: str) -> None:
    voices = load_card(name).voices
    EspeakVoice(load_card(name), 1)  # variants are checked here; the engine ignores an unknown one
    with Workers(2) as workers:
        spoken = list(workers.speak(Request("Good morning, everyone.", voice) for voice in voices))
    assert all(status == 0 and len(pcm) > 20_000 for status, pcm in spoken)
    assert len({pcm for _, pcm in spoken}) == len(voices)


def test_clips() -> None:
    voice = EspeakVoice(card("gmw/en-US+m1", "gmw/en+f2"), 2)
    lines = [Line("Good morning, everyone.", 0, 1), Line("Good morning, everyone.", 1, 1), Line("Yes.", 0, 5)]
    clips = list(voice.speak(lines))
    assert [next(voice.speak([line])).tobytes() for line in lines] == [clip.tobytes() for clip in clips]
    for clip in clips:
        assert clip.dtype == np.float32 and 0.3 < len(clip) / SAMPLE_RATE < 3
        assert 20 * np.log10(np.sqrt(np.mean(np.square(clip)))) == pytest.approx(-26, abs=0.1)
    other = next(voice.speak([Line("Good morning, everyone.", 0, 2)]))
    assert other.tobytes() != clips[0].tobytes()  # rate and pitch are drawn from the seed


def test_text_that_gives_no_sound_gets_a_reason() -> None:
    voice = EspeakVoice(card("gmw/en"), 1)
    nothing, something = voice.speak([Line("", 0, 1), Line("Fine.", 0, 1)])
    assert nothing == "the voice said nothing" and isinstance(something, np.ndarray)


def test_unknown_voice_is_named() -> None:
    with pytest.raises(MissingError, match=r"voices: gmw/en\+nobody: espeak-ng has no such voice.*variants: .*m1"):
        EspeakVoice(card("gmw/en+m1", "gmw/en+nobody"))
    voice = EspeakVoice(card("gmw/en+m1", "gmw/en-XX+m1"), 2)
    lines = [Line("Good morning.", 0, 1), Line("Good evening.", 1, 1)]
    with pytest.raises(MissingError, match=r"voices: gmw/en-XX\+m1: espeak-ng has no such voice"):
        list(voice.speak(lines))
    with Workers(1) as workers:
        assert list(workers.speak([Request("Hello.", "nope"), REQUESTS[3]]))[0] == (NO_SUCH_VOICE, b"")


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_worker_is_an_error_and_no_hang(count: int) -> None:
    started = time.monotonic()
    with Workers(count) as workers:
        answers = workers.speak(REQUESTS * 20, ahead=1)
        next(answers)
        workers.processes[0].kill()
        with pytest.raises(ResourceError, match=r"synthesis process ended \(exit code -9\) at .*prepare.workers"):
            list(answers)
    assert time.monotonic() - started < 20


def test_a_crash_of_the_engine_costs_one_utterance() -> None:
    """A child that dies of a fault (here SIGSEGV, sent by us) is that text's fault; the worker goes on."""
    script = (
        "import os, signal\n"
        "from asr_analogy.tts import espeak\n"
        "real = espeak._speak\n"
        "def speak(engine, request):\n"
        "    if request.text == 'crash': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if request.text == 'raise': raise ValueError\n"
        "    return real(engine, request)\n"
        "espeak._speak = speak\n"
        "espeak._serve()\n"
    )
    with Workers(1) as workers:
        workers.processes[0].kill()
        workers.processes[0].wait()
        workers.processes[0].stdin.close()
        workers.processes[0].stdout.close()
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        workers.processes[0] = process
        workers.idle.get()
        workers.idle.put(process)
        answers = list(workers.speak([Request("crash"), Request("raise"), REQUESTS[0]]))
    assert [status for status, _ in answers] == [-1, -1, 0]


def test_workers_leave_with_their_parent() -> None:
    script = (
        "import os, signal\n"
        "from asr_analogy.tts.espeak import Request, Workers\n"
        "workers = Workers(1)\n"
        "next(workers.speak([Request('Hello there.')]))\n"
        "print(workers.processes[0].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    place = Path(f"/proc/{int(done.stdout)}/cmdline")
    deadline = time.monotonic() + 10
    while place.exists() and b"espeak" in place.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not place.exists() or b"espeak" not in place.read_bytes()


def test_workers_need_little(tmp_path: Path) -> None:
    """A worker starts fast because it imports no numpy and no torch."""
    code = "import sys, asr_analogy.tts.espeak; assert not {'numpy', 'torch', 'soundfile'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=dict(os.environ))
