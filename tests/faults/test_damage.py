"""Files that were cut short or changed, in every place where a study keeps one: what they held is made again."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.faults._studies import ALL, ARMS, SEARCH, draws, instants, kinds

PLACES = {  # what is kept -> where; of several files any one
    "episodes": "data/*/*.arrow",
    "weights": "train/*/model.safetensors",
    "result of a training": "train/*/result.json",
    "values of a measure": "train/*/measures/*/values.json",
    "manifest": "train/*/measures/*/manifest.json",
    "checkpoint": "work/train/*/checkpoint-*.safetensors",
    "state of a checkpoint": "work/train/*/checkpoint.json",
    "lease": "leases/train~*",
    "lease of the study": "leases/studies~*",
    "note of the study": "notes/studies/*.json",
    "journal": "notes/searches/*/*.jsonl",
    "report": "reports/*/study.json",
}
ENTRIES = ("data", "train")


def damage(file, draw, torn):
    """Cut a file short or change a byte of it; one that is only `torn` lost its end. What was done, in words."""
    content = file.read_bytes()
    at = draw.randrange(len(content))
    how = "torn" if torn else draw.choice(["cut", "emptied", "changed", "another"])
    if how == "torn":
        file.write_bytes(content[: len(content) - draw.randrange(1, min(40, len(content.splitlines()[-1])))])
    elif how == "cut":
        file.write_bytes(content[:at])
    elif how == "emptied":
        file.write_bytes(b"")
    elif how == "changed":
        file.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
    else:
        file.write_bytes(b"[]\n")
    return f"{file.name} {how} at {at} of {len(content)}"


def entry(file, root):
    """The key of the entry that a file belongs to; None for other files."""
    parts = file.parent.relative_to(root)
    return str(parts) if parts.parts[0] in ENTRIES else None


def unfinished(kind, place):
    """A study whose driver was killed when one training was finished and another under way."""
    study = kind.make(place)
    driver = study.start()
    driver.until(lambda: study.trained() and any(study.seen.glob("train/*/measures/*/manifest.json")))
    driver.until(study.working)
    driver.kill()
    return study


@kinds(SEARCH)
@pytest.mark.parametrize("number", range(instants(10, few=1)))
def test_damaged_files(kind, number, undisturbed, tmp_path):
    """Everything at once, or a few things drawn at random."""
    study, draw = unfinished(kind, tmp_path), draws("damage", kind.name, number)
    lines, lost = study.journal() if kind.budget else [], set()
    for what in draw.sample(sorted(PLACES), 4) if ALL and number else PLACES:
        files = sorted(study.store.glob(PLACES[what]))
        if not files:
            print(f"{what}: there is none")
            continue
        file = draw.choice(files)
        lost.add(entry(file, study.store))
        print(f"{what}: {damage(file, draw, torn=what == 'journal')}")
    lost.discard(None)
    kept = {key: at for key, at in study.entries().items() if not key.startswith(tuple(lost))}
    driver = study.start()
    study.end(driver, kept)
    if lines:
        assert study.journal()[: len(lines) - 1] == lines[:-1]
    told = {line["about"]["trial"] for line in lines if line["event"] == "tell"}
    study.check(undisturbed(kind)[0], lost={trial for trial in told if f"train/{trial}" in " ".join(lost)})


def test_a_damaged_record_is_written_anew_once_it_is_out_of_the_way(undisturbed, tmp_path):
    expected, _ = undisturbed(ARMS)
    study = ARMS.make(tmp_path)
    shutil.copytree(expected.store, study.store, ignore=shutil.ignore_patterns("artifacts", "mlflow.db"))
    (study.store / "mlflow.db").write_bytes(os.urandom(4096))
    driver = study.run()
    assert driver.err.count("cannot be written (DatabaseError") == 1
    (study.store / "mlflow.db").unlink()
    study.run()
    study.check(expected)
