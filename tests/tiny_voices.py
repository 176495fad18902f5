"""Real TTS models, tiny and random, saved to disk as their hub repositories are laid out."""

import io
import json
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from models import sharpen
from transformers import (
    BarkConfig,
    BarkModel,
    BertTokenizer,
    EncodecConfig,
    SpeechT5Config,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    SpeechT5Tokenizer,
    VitsConfig,
    VitsModel,
    VitsTokenizer,
)
from transformers.models.bark.generation_configuration_bark import (
    BarkCoarseGenerationConfig,
    BarkFineGenerationConfig,
    BarkGenerationConfig,
    BarkSemanticGenerationConfig,
)

SEMANTIC, CODEBOOK = 24, 16
"""Tokens of the tiny BARK: semantic ones (its end token is the next number), and those of each codebook."""


def bark(folder: Path, *, width: int = 16, layers: int = 1, presets: int = 2, seed: int = 1, window: int = 64) -> Path:
    """A BARK of few tokens that ends after a second or so, with presets v2/en_speaker_0, ...; `window` is of its fine model."""
    torch.manual_seed(seed)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    offset, infer = SEMANTIC + 1, SEMANTIC + 2 + len(words) + 1
    sizes = {"hidden_size": width, "num_layers": layers, "num_heads": 2}
    semantic = {**sizes, "block_size": 1024, "input_vocab_size": infer + 1, "output_vocab_size": infer + 1}
    coarse = {
        **sizes,
        "block_size": 1024,
        "input_vocab_size": SEMANTIC + 2 * CODEBOOK + 2,
        "output_vocab_size": SEMANTIC + 2 * CODEBOOK,
    }
    fine = {**sizes, "block_size": window, "input_vocab_size": CODEBOOK + 1, "output_vocab_size": CODEBOOK + 1}
    codec = EncodecConfig(hidden_size=8, num_filters=2, codebook_size=CODEBOOK, codebook_dim=8, num_lstm_layers=1,
                          upsampling_ratios=[8, 5, 4, 2], target_bandwidths=[6.0])  # fmt: skip
    model = BarkModel(BarkConfig(semantic_config=semantic, coarse_acoustics_config=coarse, fine_acoustics_config=fine,
                                 codec_config=codec.to_dict()))  # fmt: skip
    for stage in (model.semantic, model.coarse_acoustics, model.fine_acoustics):
        sharpen(stage, 20.0)
    generation = BarkGenerationConfig.from_sub_model_configs(
        BarkSemanticGenerationConfig(
            eos_token_id=SEMANTIC, semantic_vocab_size=SEMANTIC, text_encoding_offset=offset, text_pad_token=infer - 1,
            semantic_infer_token=infer, max_input_semantic_length=40, max_new_tokens=120, do_sample=True,
        ),
        BarkCoarseGenerationConfig(
            coarse_semantic_pad_token=SEMANTIC + 2 * CODEBOOK, coarse_infer_token=SEMANTIC + 2 * CODEBOOK + 1,
            max_coarse_input_length=40, max_coarse_history=90, sliding_window_len=20, do_sample=True,
        ),
        BarkFineGenerationConfig(max_fine_history_length=window // 2, max_fine_input_length=window, temperature=0.5),
        codebook_size=CODEBOOK, sample_rate=24_000,
    )  # fmt: skip
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(generation.to_dict()))
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    places = {"repo_or_path": "elsewhere"}
    for number in range(presets):
        name = f"v2/en_speaker_{number}"
        arrays = bark_prompt(number)
        places[name] = {key: f"speaker_embeddings/{name}_{key}.npy" for key in arrays}
        for key, array in arrays.items():
            file = folder / places[name][key]
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, array)
    (folder / "speaker_embeddings_path.json").write_text(json.dumps(places))
    return folder


def bark_prompt(number: int, length: int = 60) -> dict[str, np.ndarray]:
    random = np.random.default_rng(number)
    fine = random.integers(0, CODEBOOK, (8, int(length * 75 / 49.9)))
    return {"semantic_prompt": random.integers(0, SEMANTIC, length), "coarse_prompt": fine[:2], "fine_prompt": fine}


def speecht5(folder: Path, *, stop: float = -1.4, seed: int = 2) -> Path:
    """A SpeechT5 of 60 text positions; `stop` is how ready it is to end."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    text = ["abcdefghijklmnopqrstuvwxyz ,.'", "The quick brown fox jumps over the lazy dog, they say. MNGYS"]
    spm = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=spm, model_type="char", vocab_size=45, hard_vocab_limit=False,
        bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    (folder / "spm_char.model").write_bytes(spm.getvalue())
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    sizes |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_mel_bins": 8}
    sizes |= {"speech_decoder_prenet_units": 8, "speech_decoder_postnet_units": 8, "speech_decoder_postnet_layers": 2}
    config = SpeechT5Config(
        vocab_size=len(tokenizer), max_text_positions=60, max_speech_positions=200, speaker_embedding_dim=12, **sizes
    )
    model = SpeechT5ForTextToSpeech(config)
    sharpen(model, 20.0)
    with torch.no_grad():
        model.speech_decoder_postnet.prob_out.weight.mul_(3)
        model.speech_decoder_postnet.prob_out.bias.fill_(stop)
    model.save_pretrained(folder)
    return folder


def hifigan(folder: Path, *, rate: int = 16_000, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = SpeechT5HifiGanConfig(
        model_in_dim=8, upsample_initial_channel=16, upsample_rates=[16, 16], upsample_kernel_sizes=[32, 32],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], sampling_rate=rate,
    )  # fmt: skip
    model = SpeechT5HifiGan(config)
    sharpen(model, 10.0)
    model.save_pretrained(folder)
    return folder


def vits(folder: Path, *, speakers: int = 1, rate: int = 16_000, seed: int = 0, **tokenizer: bool) -> Path:
    """A VITS of the letters a-z, ' and -."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    letters = [" ", *"abcdefghijklmnopqrstuvwxyz'-", "1"]
    vocabulary = {letter: number for number, letter in enumerate(["|", *letters])}
    vocabulary |= {"<unk>": len(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    settings = {"phonemize": False, "is_uroman": False, **tokenizer}
    VitsTokenizer(str(folder / "vocab.json"), pad_token="|", language="eng", **settings).save_pretrained(folder)
    config = VitsConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, ffn_dim=16, flow_size=16, spectrogram_bins=9,
        upsample_initial_channel=16, upsample_rates=[16, 16], upsample_kernel_sizes=[32, 32], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], duration_predictor_filter_channels=8, prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1, prior_encoder_num_flows=2, num_speakers=speakers, sampling_rate=rate, speaking_rate=25.0,
        speaker_embedding_size=4 if speakers > 1 else 0,
    )  # fmt: skip
    model = VitsModel(config)
    sharpen(model.decoder, 5.0)
    model.save_pretrained(folder)
    return folder
