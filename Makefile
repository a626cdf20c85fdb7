.DEFAULT_GOAL := study
PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test faults findings check format ui submit

study: .venv/.stamp
	$(BIN)/python study/run.py --sweep predictor_size

test: .venv/.stamp
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# Every fault of tests/faults on every kind of study, at many more instants: hours on two cores.
faults: .venv/.stamp
	WM_FAULTS=all $(BIN)/python -m pytest -q -rP tests/faults -o timeout=3600

# What the papers find, at scale local: most of an hour on two cores, less with what `runs` holds already.
findings: .venv/.stamp
	WM_FINDINGS=all $(BIN)/python -m pytest -q -rP -n 2 tests/findings -o timeout=3600

check: .venv/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ui: .venv/.stamp
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui \
		--backend-store-uri sqlite:///$(abspath runs)/mlflow.db --host 127.0.0.1 --port 5000 --workers 1

# A study as a job of the cluster to which `ray attach` holds a tunnel: make submit JOB="--sweep ... --store s3://..."
submit: .venv/.stamp
	RAY_AUTH_MODE=token $(BIN)/ray job submit --address http://127.0.0.1:8265 --working-dir . \
		--runtime-env-json "$$($(BIN)/python -m study.shipping)" \
		-- python study/run.py --address auto --tracking-uri http://127.0.0.1:5000 $(JOB)

.venv/.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	-$(BIN)/python -m envs._mujoco  # says which package draws Reacher and Cube, or which is missing; all else works without
	touch $@
