"""The report of a study: a folder with the table, the figure, the records, the declaration and what a search found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis import figures, search, search_each_figures, spectra, tables
from analysis import records as trial_records
from analysis.records import Record, Study

FILES = (
    "table.md",
    "table.csv",
    "table.tex",
    "records.parquet",
    "figure.png",
    "figure.svg",
    "study.json",
)
SPECTRA_FILES = ("spectra.png", "spectra.svg")  # beside FILES where the question is about the latent's spectrum
SEARCH_FILES = ("search.csv", "search.png", "search.svg")  # beside FILES where arms were searched for


def write_report(
    folder: Path | str, study: Mapping[str, Any] | Study, records: Iterable[Mapping[str, Any] | Record]
) -> Path:
    """Write FILES, SPECTRA_FILES where they are wanted and SEARCH_FILES of a search into `folder` and return it.

    Trials that crashed or were never run are shown as such, and so is a search that nothing has confirmed yet.
    """
    folder, study, found = Path(folder), Study.model_validate(study), trial_records.parse(records)
    folder.mkdir(parents=True, exist_ok=True)
    trial_records.write(found, folder / "records.parquet")
    (folder / "study.json").write_text(study.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(tables.markdown(study, found), encoding="utf-8")
    (folder / "table.tex").write_text(tables.latex(study, found), encoding="utf-8")
    tables.summary(study, found).write_csv(folder / "table.csv")
    figures.save(figures.draw(study, found), folder)
    if spectra.wanted(study, found):
        figures.save(spectra.draw(study, found), folder, "spectra")
    if study.search is not None:
        search.table(study.search).write_csv(folder / "search.csv")
        for name, figure in search_each_figures.pictures(study):
            figures.save(figure, folder, name)
    return folder
