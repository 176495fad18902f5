"""The embedded voice: espeak-ng through the `espeakng-loader` wheel (GPL-3.0, hence the extra `espeak`).

The engine keeps global state and its output depends on the calls before. So synthesis runs in worker processes that
initialise the engine once and fork a fresh child for every utterance: the same request gives the same bytes whatever
the order or the number of workers. The workers import no more than the standard library needs; `python -m
asr_analogy.tts.espeak` is one of them.
"""

import contextlib
import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from asr_analogy.errors import MissingError, ResourceError

if TYPE_CHECKING:
    import numpy as np

    from asr_analogy.tts.voice import EspeakCard, Line

RATE = 22_050
"""Samples per second the engine speaks at."""

SYNCHRONOUS, UTF8 = 2, 1
NO_SUCH_VOICE = 2
CRASHED = -1
"""Status of an utterance that made the engine crash; the others are the engine's own codes."""
RATE_PARAMETER, PITCH_PARAMETER, RANGE_PARAMETER = 1, 3, 4
HEADER = struct.Struct("<iq")
"""Answer header: status (0 done) and number of PCM bytes that follow."""

Answer = tuple[int, bytes]
"""Status (0 done, CRASHED, else the engine's error code) and 16-bit PCM at RATE."""


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


def _speak(engine: ctypes.CDLL, request: Request) -> Answer:
    """Speak in this process."""
    chunks: list[bytes] = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def collect(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    callback = callback_type(collect)
    engine.espeak_SetSynthCallback(callback)
    engine.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath and klatt draw noise, else seeded with the time of start
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers itself
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the engine prints must not come between the answers
    engine = _engine()
    for line in sys.stdin:
        out.write(_speak_in_child(engine, Request(**json.loads(line))))
        out.flush()


def _speak_in_child(engine: ctypes.CDLL, request: Request) -> bytes:
    """The framed answer to one request, spoken by a forked child with the engine as it was started."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)  # else a child whose parent was killed would wait for itself to read
            status, pcm = _speak(engine, request)
            with os.fdopen(sink, "wb") as pipe:
                pipe.write(HEADER.pack(status, len(pcm)) + pcm)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        answer = pipe.read()
    _, code = os.waitpid(child, 0)
    if code == signal.SIGKILL:  # out of memory: not the fault of this text
        os._exit(1)
    return answer if code == 0 else HEADER.pack(CRASHED, 0)


class Workers:
    """A pool of engine processes, used as a context manager; `speak` keeps the order of the requests."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "asr_analogy.tts.espeak"]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(max(1, count))
        ]
        self.idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in self.processes:
            self.idle.put(process)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            assert process.stdin and process.stdout
            process.kill()
            process.wait()
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()

    def speak(self, requests: Iterable[Request], ahead: int = 16) -> Iterator[Answer]:
        """Yield the answer to each request, in order; `ahead` answers per worker may wait in memory.

        Raises ResourceError if a worker ended, was killed or could not start.
        """
        pool = ThreadPoolExecutor(len(self.processes))
        pending: deque[Future[Answer]] = deque()
        try:
            for request in requests:
                pending.append(pool.submit(self._ask, request))
                if len(pending) > ahead * len(self.processes):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _ask(self, request: Request) -> Answer:
        """Have one idle worker speak."""
        process = self.idle.get()
        assert process.stdin and process.stdout
        try:
            process.stdin.write((json.dumps(vars(request)) + "\n").encode())
            process.stdin.flush()
            status, size = HEADER.unpack(process.stdout.read(HEADER.size))
            pcm = process.stdout.read(size)
            if len(pcm) == size:
                return status, pcm
        except (OSError, struct.error, ValueError):
            pass
        finally:
            self.idle.put(process)
        raise ResourceError(
            f"espeak: a synthesis process ended (exit code {process.wait()}) at {request.text[:40]!r}; if memory is "
            "short, lower prepare.workers; the same command goes on from where it stood"
        )


class EspeakVoice:
    """The backend behind cards with `backend: espeak`; `names` are the engine's names of the card's voices."""

    def __init__(self, card: "EspeakCard", workers: int = 0) -> None:
        variants = _variants()
        for name in card.voices:
            _, plus, variant = name.partition("+")
            if plus and variant not in variants:  # the engine would speak without the variant and say nothing
                raise MissingError(f"{_no_such(name)}; variants: {', '.join(variants)}")
        self.card = card
        self.names = list(card.voices)
        self.workers = workers or os.cpu_count() or 1

    def speak(self, lines: "Iterable[Line]") -> "Iterator[np.ndarray | str]":
        """For each line: samples (float32 mono at SAMPLE_RATE, level -26 dBFS), or why it could not be spoken."""
        import numpy as np

        from asr_analogy.tts.voice import finished

        asked: deque[Request] = deque()

        def requests() -> Iterator[Request]:
            for line in lines:
                asked.append(self._request(line))
                yield asked[-1]

        with Workers(self.workers) as workers:
            for status, pcm in workers.speak(requests()):
                request = asked.popleft()
                if status == NO_SUCH_VOICE:
                    raise MissingError(f"{_no_such(request.voice)}; a name is e.g. gmw/en-US or gmw/en-US+m1")
                samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
                if status:
                    yield f"the voice {request.voice} failed (code {status})"
                else:
                    yield finished(samples, RATE)

    def _request(self, line: "Line") -> Request:
        import numpy as np

        random = np.random.default_rng(line.seed)
        draw = [int(random.integers(low, high + 1)) for low, high in (self.card.rate, self.card.pitch, self.card.range)]
        return Request(line.text, self.names[line.voice % len(self.names)], *draw)


def _no_such(voice: str) -> str:
    return f"voices: {voice}: espeak-ng has no such voice; correct the voice card"


def _variants() -> list[str]:
    """The timbres of the engine, as they stand behind the + of a voice name."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingError('the voice espeak needs its engine: pip install "asr-analogy[espeak]"') from error
    return sorted(file.name for file in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir())


if __name__ == "__main__":
    _serve()
