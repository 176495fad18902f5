"""The embedded voice: espeak-ng through the `espeakng-loader` wheel (GPL-3.0, hence the extra `espeak`).

The engine keeps global state and its output depends on the calls before. So synthesis runs in worker processes that
initialise the engine once and fork a fresh child for every utterance: the same request gives the same bytes whatever
the order or the number of workers. The workers import no more than the standard library needs; `python -m
asr_analogy.tts.espeak` is one of them.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Queue
from typing import TYPE_CHECKING

from asr_analogy.errors import MissingError

if TYPE_CHECKING:
    import numpy as np

    from asr_analogy.tts.voice import Card, Line

RATE = 22_050
"""Samples per second the engine speaks at."""

SYNCHRONOUS, UTF8 = 2, 1
NO_SUCH_VOICE = 2
RATE_PARAMETER, PITCH_PARAMETER, RANGE_PARAMETER = 1, 3, 4
HEADER = struct.Struct("<iq")
"""Answer header: status (0 done, else the engine's error code) and number of PCM bytes that follow."""


@dataclass(frozen=True)
class Request:
    """One utterance to speak: text, the engine's voice name, words per minute, pitch 0-99 and pitch range 0-99."""

    text: str
    voice: str = "gmw/en-US"
    rate: int = 160
    pitch: int = 50
    range: int = 50


def _engine() -> ctypes.CDLL:
    import espeakng_loader

    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = engine.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate != RATE:
        raise RuntimeError(f"espeak-ng did not start (sample rate {rate})")
    return engine


def _speak(engine: ctypes.CDLL, request: Request) -> tuple[int, bytes]:
    """Speak in this process. Returns (status, 16-bit PCM at RATE); status is the engine's error code or 0."""
    chunks: list[bytes] = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def collect(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    callback = callback_type(collect)
    engine.espeak_SetSynthCallback(callback)
    status = engine.espeak_SetVoiceByName(request.voice.encode())
    if status:
        return status, b""
    engine.espeak_SetParameter(RATE_PARAMETER, request.rate, 0)
    engine.espeak_SetParameter(PITCH_PARAMETER, request.pitch, 0)
    engine.espeak_SetParameter(RANGE_PARAMETER, request.range, 0)
    data = request.text.encode()
    status = engine.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
    engine.espeak_Synchronize()
    return status, b"".join(chunks)


def _serve() -> None:
    """Worker loop: one JSON request a line on stdin, one framed answer on stdout, a fresh child for each."""
    engine = _engine()
    out = sys.stdout.fileno()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status, pcm = _speak(engine, Request(**json.loads(line)))
            data = memoryview(HEADER.pack(status, len(pcm)) + pcm)
            while data:
                data = data[os.write(out, data) :]
            os._exit(0)
        _, code = os.waitpid(child, 0)
        if code:
            os._exit(1)


class Workers:
    """A pool of engine processes, used as a context manager; `speak` keeps the order of the requests."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "asr_analogy.tts.espeak"]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(max(1, count))
        ]

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            assert process.stdin and process.stdout
            process.stdin.close()
            process.stdout.close()

    def speak(self, requests: Iterable[Request], ahead: int = 16) -> Iterator[tuple[int, bytes]]:
        """Yield (status, 16-bit PCM at RATE) for each request, in order; `ahead` answers per worker may wait in memory."""
        count = len(self.processes)
        asked: list[Queue[Request | None]] = [Queue() for _ in range(count)]
        answered: list[Queue[tuple[int, bytes]]] = [Queue() for _ in range(count)]
        for index, process in enumerate(self.processes):
            threading.Thread(target=_converse, args=(process, asked[index], answered[index]), daemon=True).start()
        sent = received = 0
        for request in requests:
            asked[sent % count].put(request)
            sent += 1
            if sent - received > ahead * count:
                yield answered[received % count].get()
                received += 1
        for queue in asked:
            queue.put(None)
        for index in range(received, sent):
            yield answered[index % count].get()


def _converse(process: subprocess.Popen[bytes], asked: "Queue[Request | None]", answered: Queue) -> None:
    """Pass requests to one worker and its answers back until a None is asked; a dead worker answers status -1."""
    assert process.stdin and process.stdout
    while (request := asked.get()) is not None:
        try:
            process.stdin.write((json.dumps(vars(request)) + "\n").encode())
            process.stdin.flush()
            status, size = HEADER.unpack(process.stdout.read(HEADER.size))
            answered.put((status, process.stdout.read(size)))
        except (OSError, struct.error, ValueError):
            answered.put((-1, b""))


class EspeakVoice:
    """The backend behind cards with `backend: espeak`; `names` are the engine's names of the card's voices."""

    def __init__(self, card: "Card", workers: int = 0) -> None:
        _require_engine()
        self.card = card
        self.names = list(card.voices)
        self.workers = workers or os.cpu_count() or 1

    def speak(self, lines: "Iterable[Line]") -> "Iterator[np.ndarray | str]":
        """For each line: samples (float32 mono at SAMPLE_RATE, level -26 dBFS), or why it could not be spoken."""
        import numpy as np

        from asr_analogy.speech import audio

        with Workers(self.workers) as workers:
            for status, pcm in workers.speak(map(self._request, lines)):
                if status == NO_SUCH_VOICE:
                    raise MissingError(
                        f"espeak: no such voice in the card; known are espeak-ng's, e.g. {self.names[0]}"
                    )
                samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
                if status or len(samples) < RATE * audio.SHORTEST:
                    yield "the voice said nothing" if not status else f"the voice failed (code {status})"
                    continue
                yield audio.level(audio.trim(audio.resample(samples, RATE)))

    def _request(self, line: "Line") -> Request:
        import numpy as np

        random = np.random.default_rng(line.seed)
        draw = [int(random.integers(low, high + 1)) for low, high in (self.card.rate, self.card.pitch, self.card.range)]
        return Request(line.text, self.names[line.voice % len(self.names)], *draw)


def _require_engine() -> None:
    try:
        import espeakng_loader  # noqa: F401
    except ImportError as error:
        raise MissingError('the voice espeak needs its engine: pip install "asr-analogy[espeak]"') from error


if __name__ == "__main__":
    _serve()
