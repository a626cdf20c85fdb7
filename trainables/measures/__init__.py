"""Measures: numbers from one trained trial. A file has `VERSION`, `Config`, `USES` (parts of the config it depends on
beside its own), `VALUES` (what it reports, the one of the file's name first) and `measure(trained, config, map)`."""
