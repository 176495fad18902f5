"""Prepared corpora: what is written is read back, by us and by `datasets`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr_analogy.errors import DataError
from asr_analogy.speech import audio
from asr_analogy.speech.corpus import SCHEMA, Corpus, Utterance, read_corpus, write_shard


def utterances(count: int = 3) -> list[Utterance]:
    noise = np.random.default_rng(1).standard_normal(8_000).astype(np.float32) / 10
    one = Utterance("", audio.encode(noise), "§ 4", "section 4", "gmw/en", 0.5, "a.txt:1", 2**63 - 1)
    return [replace(one, id=f"{index:07d}", source=f"a.txt:{index}") for index in range(count)]


def test_round_trip(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.parquet", utterances()[:2])
    write_shard(tmp_path / "00001.parquet", utterances()[2:])
    found = read_corpus(tmp_path)
    assert found == utterances()
    assert len(found[0].samples()) == 8_000
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00000.parquet", "00001.parquet"]


def test_same_utterances_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / name, utterances())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_some_columns(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.parquet", utterances())
    assert [row.duration for row in read_corpus(tmp_path, ["duration"])] == [0.5] * 3
    assert read_corpus(tmp_path, ["id", "duration"])[1] == Utterance("0000001", b"", "", "", "", 0.5, "", 0)


def test_a_folder_named_like_a_setting_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "scale=0.3" / "text=x"
    folder.mkdir(parents=True)
    write_shard(folder / "0.parquet", utterances())
    assert read_corpus(folder) == utterances()


def test_single_utterances_by_number(tmp_path: Path) -> None:
    rows = [
        replace(row, text=str(number), flac=row.flac + bytes([number])) for number, row in enumerate(utterances(21))
    ]
    write_shard(tmp_path / "00000.parquet", rows[:19])  # three row groups
    write_shard(tmp_path / "00001.parquet", rows[19:])
    corpus = Corpus(tmp_path)
    assert len(corpus) == 21 and all(row.flac == b"" for row in corpus.rows)
    assert [corpus[number] for number in (20, 0, 8, 18, 7)] == [rows[number] for number in (20, 0, 8, 18, 7)]
    assert corpus[-1] == rows[-1] and corpus[17:20] == rows[17:20] and list(corpus) == rows
    with pytest.raises(IndexError):
        corpus[21]
    chosen = corpus.ordered(["0000009", "0000002"])
    assert list(chosen) == [rows[9], rows[2]] and [row.text for row in chosen.rows] == ["9", "2"]
    assert len(corpus) == 21
    with pytest.raises(KeyError):
        corpus.ordered(["0000021"])
    assert list(Corpus(tmp_path / "none")) == []
    again = corpus.chosen([3, 3, 20])
    assert list(again) == [rows[3], rows[3], rows[20]] and len(again.rows) == 3


def test_several_corpora_are_one_after_another(tmp_path: Path) -> None:
    for name, count in (("b", 10), ("a", 3)):
        (tmp_path / name).mkdir()
        write_shard(tmp_path / name / "00000.parquet", [replace(row, text=name) for row in utterances(count)])
    both = Corpus(tmp_path / "b", tmp_path / "a")
    assert [row.text for row in both.rows] == ["b"] * 10 + ["a"] * 3
    assert list(both) == [*read_corpus(tmp_path / "b"), *read_corpus(tmp_path / "a")]


def test_a_damaged_shard_is_found_before_training(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.parquet", utterances())
    (tmp_path / "0.parquet").write_bytes((tmp_path / "0.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match="0.parquet: damaged .*run prepare again"):
        Corpus(tmp_path)


def test_no_shards(tmp_path: Path) -> None:
    assert read_corpus(tmp_path) == read_corpus(tmp_path / "none") == []


def test_damaged_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.parquet", utterances())
    (tmp_path / "0.parquet").write_bytes((tmp_path / "0.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match="0.parquet: damaged .*run prepare again"):
        read_corpus(tmp_path)


def test_datasets_reads_a_shard(tmp_path: Path) -> None:
    import datasets

    write_shard(tmp_path / "00000.parquet", utterances()[:2])
    write_shard(tmp_path / "00001.parquet", utterances()[2:])
    files = sorted(map(str, tmp_path.glob("*.parquet")))
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert table.column_names == SCHEMA.names and table.num_rows == 3
    assert table[2]["audio"] == {"bytes": utterances()[2].flac, "path": "0000002.flac"}
    assert table[2]["text"] == "§ 4" and table[2]["seed"] == 2**63 - 1
