import json

import pytest

from asr_analogy.cli import main
from asr_analogy.stages.doctor import HEADINGS, doctor, facts, rows


def test_doctor_says_what_is_here_and_what_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = doctor()
    assert json.loads(json.dumps(found)) == found
    assert found["machine"]["hub_offline"] is True and found["machine"]["usable_cores"] >= 1
    assert [row["base"] for row in found["fits"]][0] == "whisper-tiny" and len(found["fits"]) == 7
    for row in found["fits"]:
        assert row["transcribe_one_clip_gb"] < row["train_lora_one_clip_gb"] < row["train_one_clip_gb"]
        assert row["train"] <= row["train_lora"]
    cells = rows({"fits": [{**found["fits"][0], "train": 0, "train_one_clip_gb": 3.25}]})
    assert len(cells[0]) == len(HEADINGS) and cells[0][2] == "needs 3.2 GB"
    missing = {"extra": "lora", "installed": False, "missing": ["peft"], "pip": "pip install 'asr-analogy[lora]'"}
    assert "extra lora: lacks peft: pip install 'asr-analogy[lora]'" in facts({**found, "extras": [missing]})
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    assert ended.value.code == 0
    assert {"machine", "extras", "fits"} <= json.loads(capsys.readouterr().out).keys()
