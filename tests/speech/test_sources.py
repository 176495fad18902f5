"""Every kind of source gives the same rows, or says which file and line is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from asr_analogy.errors import DataError, MissingError
from asr_analogy.recipe import Source
from asr_analogy.speech.audio import SAMPLE_RATE
from asr_analogy.speech.sources import fingerprint, rows

TEXTS = ["Item one.", "Item two.", "Item three."]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with three recordings, clips/0.wav to clips/2.wav, of 0.5, 0.6 and 0.7 seconds."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).standard_normal(8_000 + 1_600 * index) / 10
        soundfile.write(folder / f"{index}.wav", noise, SAMPLE_RATE)
    return folder


def manifest(folder: Path, records: list[Any], name: str = "manifest.jsonl") -> Path:
    path = folder / name
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def records(**more: Any) -> list[dict[str, Any]]:
    return [
        {"audio": f"clips/{index}.wav", "text": text, "speaker": index % 2, "split": ["train", "test"][index % 2]}
        | more
        for index, text in enumerate(TEXTS)
    ]


def check(source: Source) -> None:
    found = list(rows(source))
    assert [row.text for row in found] == TEXTS
    assert [len(row.samples()) for row in found] == [8_000, 9_600, 11_200]
    assert [(row.text, row.speaker, row.source) for row in rows(source, sound=False)] == [
        (row.text, row.speaker, row.source) for row in found
    ]


def test_manifest(tmp_path: Path, clips: Path) -> None:
    source = Source(manifest=manifest(tmp_path, records()))
    check(source)
    assert [(row.speaker, row.source) for row in rows(source)][:2] == [
        ("0", "manifest.jsonl:1"),
        ("1", "manifest.jsonl:2"),
    ]


def test_several_manifests(tmp_path: Path, clips: Path) -> None:
    first, second = (
        manifest(tmp_path, records()[:1]),
        manifest(clips, [dict(r, audio=r["audio"][6:]) for r in records()[1:]]),
    )
    source = Source.model_validate({"manifest": [str(first), str(second)]})
    check(source)
    assert [row.source for row in rows(source)][1:] == ["clips/manifest.jsonl:1", "clips/manifest.jsonl:2"]


def test_nemo_manifest_absolute_paths_blank_lines_and_byte_order_mark(tmp_path: Path, clips: Path) -> None:
    lines = [
        json.dumps({"audio_filepath": str(clips / f"{i}.wav"), "text": t, "duration": 1}) for i, t in enumerate(TEXTS)
    ]
    (tmp_path / "m.json").write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    check(Source(manifest=tmp_path / "m.json"))


def test_line_separators_inside_a_text_do_not_end_a_row(tmp_path: Path, clips: Path) -> None:
    path = manifest(tmp_path, [{"audio": "clips/0.wav", "text": "one\u2028two\x85three"}])
    assert len(list(rows(Source(manifest=path)))) == 1


def test_other_columns(tmp_path: Path, clips: Path) -> None:
    path = manifest(
        tmp_path, [{"file": f"clips/{i}.wav", "sentence": t, "client_id": "x"} for i, t in enumerate(TEXTS)]
    )
    source = Source(manifest=path, audio_column="file", text_column="sentence")
    check(source)
    assert {row.speaker for row in rows(source)} == {"x"}
    with pytest.raises(DataError, match=r"manifest.jsonl:1: no \"text\".*text_column.*file, sentence"):
        list(rows(Source(manifest=path, audio_column="file")))
    with pytest.raises(DataError, match=r"manifest.jsonl:1: no \"audio\".*audio_column"):
        list(rows(Source(manifest=path, text_column="sentence")))


@pytest.mark.parametrize("where", [{"split": "test"}, {"speaker": 1}, {"speaker": "1"}, {"speaker": [1, 7]}])
def test_where(tmp_path: Path, clips: Path, where: dict[str, Any]) -> None:
    source = Source(manifest=manifest(tmp_path, records()), where=where)
    assert [row.text for row in rows(source)] == ["Item two."]


def test_where_that_matches_nothing_names_the_columns(tmp_path: Path, clips: Path) -> None:
    source = Source(manifest=manifest(tmp_path, records()), where={"splitt": "test"})
    with pytest.raises(DataError, match=r"manifest.jsonl: no utterance matches where.*splitt.*columns: audio, text"):
        list(rows(source))


def test_limit(tmp_path: Path, clips: Path) -> None:
    path = manifest(tmp_path, [*records(), "not reached"])
    assert [row.text for row in rows(Source(manifest=path, limit=2))] == TEXTS[:2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"audio": "clips/0.wav"}, 'no "text", and every utterance needs a transcript'),
        ({"audio": "clips/0.wav", "text": "  "}, 'no "text"'),
        ({"audio": "clips/0.wav", "text": 7}, 'no "text"'),
        ({"text": "a"}, 'no "audio"'),
        ({"text": "a", "audio": ""}, 'no "audio"'),
        ({"text": "a", "audio": {"bytes": None, "path": None}}, 'no "audio"'),
        ({"text": "a", "audio": "clips/0.wav", "offset": 2.5}, "starts at an offset"),
        ("not json", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
    ],
)
def test_bad_row_names_file_and_line(tmp_path: Path, clips: Path, row: Any, message: str) -> None:
    path = manifest(tmp_path, [records()[0], row])
    with pytest.raises(DataError) as caught:
        list(rows(Source(manifest=path)))
    assert str(caught.value).startswith(f"{path}:2: {message}")
    assert "\n" not in str(caught.value)


def test_missing_empty_and_binary_manifest(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="none.jsonl: no such file"):
        list(rows(Source(manifest=tmp_path / "none.jsonl")))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"empty.jsonl: no utterance there$"):
        list(rows(Source(manifest=tmp_path / "empty.jsonl")))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="binary.jsonl: not UTF-8"):
        list(rows(Source(manifest=tmp_path / "binary.jsonl")))


def test_missing_recording_is_found_when_it_is_read(tmp_path: Path) -> None:
    [row] = rows(Source(manifest=manifest(tmp_path, [{"audio": "gone.wav", "text": "a"}])))
    with pytest.raises(DataError, match="gone.wav: no such audio file"):
        row.samples()


def test_audiofolder_with_scripts(clips: Path) -> None:
    for index, text in enumerate(TEXTS):
        (clips / f"{index}.txt").write_text(text + "\n")
    check(Source(audiofolder=clips))
    (clips / "ann").mkdir()
    (clips / "0.wav").rename(clips / "ann" / "9.wav")
    (clips / "ann" / "9.txt").write_text("wrapped\nscript")
    last = list(rows(Source(audiofolder=clips)))[-1]
    assert (last.text, last.speaker, last.source) == ("wrapped script", "ann", "ann/9.wav")
    (clips / "1.txt").unlink()
    with pytest.raises(DataError, match=f'{clips}/1.wav: no "text".*put a .txt beside it'):
        list(rows(Source(audiofolder=clips)))


def test_audiofolder_with_table(clips: Path) -> None:
    lines = [f'{index}.wav,"{text}",s{index}' for index, text in enumerate(TEXTS)]
    (clips / "metadata.csv").write_text("file_name,text,speaker_id\n" + "\n".join(lines) + "\n")
    check(Source(audiofolder=clips))
    assert [row.speaker for row in rows(Source(audiofolder=clips, where={"speaker_id": "s1"}))] == ["s1"]
    (clips / "metadata.csv").write_text('file_name,text\n0.wav,"on two\nlines"\n1.wav,a,too,many\n2.wav\n')
    with pytest.raises(DataError, match=r'metadata.csv:5: no "text"'):
        list(rows(Source(audiofolder=clips)))


def test_audiofolder_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="none: no such folder"):
        list(rows(Source(audiofolder=tmp_path / "none")))
    with pytest.raises(DataError, match="no utterance there"):
        list(rows(Source(audiofolder=tmp_path)))


def parquet(clips: Path, name: str, sounds: list[Any]) -> Path:
    path = clips.parent / name
    pq.write_table(pa.table({"audio": sounds, "text": TEXTS, "speaker": ["a", "b", "a"]}), path)
    return path


def test_parquet_with_bytes(clips: Path) -> None:
    files = [clips / f"{index}.wav" for index in range(3)]
    path = parquet(clips, "bytes.parquet", [{"bytes": file.read_bytes(), "path": file.name} for file in files])
    check(Source(parquet=path))
    assert all(row.sound == b"" for row in rows(Source(parquet=path), sound=False))
    assert [row.source for row in rows(Source(parquet=path, where={"speaker": "b"}))] == ["bytes.parquet:1"]
    check(Source(parquet=parquet(clips, "plain.parquet", [file.read_bytes() for file in files])))


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_with_paths(clips: Path, struct: bool) -> None:
    names = [f"clips/{index}.wav" for index in range(3)]
    check(Source(parquet=parquet(clips, "p.parquet", [{"bytes": None, "path": n} for n in names] if struct else names)))


def test_parquet_folder_missing_and_damaged(tmp_path: Path, clips: Path) -> None:
    with pytest.raises(MissingError, match="no Parquet file there"):
        list(rows(Source(parquet=tmp_path)))
    path = parquet(clips, "a.parquet", [f"clips/{index}.wav" for index in range(3)])
    check(Source(parquet=tmp_path))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="a.parquet: not readable as Parquet"):
        list(rows(Source(parquet=path)))


def test_hub_offline() -> None:
    with pytest.raises(MissingError, match="nobody/no-such-set: data set not available here.*give a manifest"):
        list(rows(Source(hub="nobody/no-such-set")))


def test_fingerprint_follows_what_is_heard_and_said(tmp_path: Path, clips: Path) -> None:
    source = Source(manifest=manifest(tmp_path, records()), limit=2)
    first = fingerprint(source)
    assert fingerprint(source) == first
    (clips / "2.wav").unlink()  # beyond the limit
    assert fingerprint(source) == first
    sound = (clips / "1.wav").read_bytes()
    (clips / "1.wav").write_bytes(sound[:-2] + b"\x01\x02")
    changed = fingerprint(source)
    (clips / "1.wav").unlink()
    gone = fingerprint(source)
    (clips / "1.wav").write_bytes(sound)
    assert fingerprint(source) == first
    manifest(tmp_path, records(text="other"))
    assert len({first, changed, gone, fingerprint(source)}) == 4


def test_fingerprint_of_folder_and_parquet(clips: Path) -> None:
    for index, text in enumerate(TEXTS):
        (clips / f"{index}.txt").write_text(text)
    path = parquet(clips, "a.parquet", [{"bytes": b"abc", "path": None}] * 3)
    before = fingerprint(Source(audiofolder=clips)), fingerprint(Source(parquet=path))
    (clips / "0.wav").write_bytes((clips / "1.wav").read_bytes())
    parquet(clips, "a.parquet", [{"bytes": b"abd", "path": None}] * 3)
    after = fingerprint(Source(audiofolder=clips)), fingerprint(Source(parquet=path))
    assert before[0] != after[0] and before[1] != after[1]
    assert fingerprint(Source(hub="some/set")) is None


def test_a_test_set_may_list_keywords(tmp_path: Path, clips: Path) -> None:
    """Instead of a transcript, beside one, or not at all; what training reads needs a transcript as before."""
    sound = {"audio": "clips/0.wav"}
    lines = [
        {**sound, "keywords": ["habeas corpus", " Lien ", ""]},
        {**sound, "text": "A lien.", "keywords": ["lien"]},
        {**sound, "text": "A lien.", "keywords": None},
        '{"audio": "clips/0.wav", "text": NaN, "keywords": NaN}',
        {**sound, "keywords": []},
    ]
    source = Source(manifest=manifest(tmp_path, lines))
    found = [(row.text, row.keywords) for row in rows(source, testing=True)]
    assert found == [("", ("habeas corpus", "Lien")), ("A lien.", ("lien",)), ("A lien.", ()), ("", ()), ("", ())]
    with pytest.raises(DataError, match='manifest.jsonl:1: no "text", and every utterance needs a transcript'):
        list(rows(source))
    assert [row.keywords for row in rows(Source(manifest=manifest(tmp_path, lines[1:2])))] == [()]


@pytest.mark.parametrize("keywords", ["lien", ["lien", 5], {"lien": 1}, 3, True, [["lien"]]])
def test_keywords_that_are_no_list_of_texts(tmp_path: Path, clips: Path, keywords: Any) -> None:
    path = manifest(tmp_path, [*records(), {"audio": "clips/0.wav", "keywords": keywords}])
    with pytest.raises(DataError, match=f'{path}:4: "keywords" is .*; write a list of texts, "keywords": .'):
        list(rows(Source(manifest=path), testing=True))


def test_keywords_are_part_of_the_fingerprint(tmp_path: Path, clips: Path) -> None:
    found = {
        fingerprint(Source(manifest=manifest(tmp_path, [{"audio": "clips/0.wav", "keywords": words}])), testing=True)
        for words in (["lien"], ["liens"], ["lien", "corpus"])
    }
    assert len(found) == 3
    plain = Source(manifest=manifest(tmp_path, records()))
    assert fingerprint(plain, testing=True) == fingerprint(plain), "corpora of older workspaces are still known"
