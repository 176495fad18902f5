"""Fine-tunes of tiny models, as the train stage would run them."""

from pathlib import Path

import torch
from accelerate.utils import set_seed

from asr_analogy.asr.augmentation import heard
from asr_analogy.asr.family import Recogniser, open_recogniser
from asr_analogy.asr.fitting import fit
from asr_analogy.asr.packing import planned
from asr_analogy.recipe import Train
from asr_analogy.speech.corpus import Utterance


def fitted(base: Path, out: Path, rows: list[Utterance], seed: int = 1, **options: object) -> tuple[Recogniser, list]:
    chosen = Train.model_validate({"precision": "fp32", "batch": 2, "warmup": 1, "rate": 0.003, **options})
    out.mkdir(exist_ok=True)
    set_seed(seed)
    recogniser = open_recogniser(base, "en")
    texts, durations = [row.text for row in rows], [row.duration for row in rows]
    clips, batches = planned(recogniser, rows, texts, durations, chosen, seed)
    clips, visits = heard(recogniser, clips, batches, chosen.augment, seed)
    return recogniser, fit("an-arm", recogniser, clips, visits, chosen, out)


def same(left: Recogniser, right: Recogniser) -> bool:
    pairs = zip(left.model.state_dict().values(), right.model.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)
