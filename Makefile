# Every target is one call of the command line interface; the environment is built when needed.

CONFIG ?= configs/demo.yaml
DATA ?=
WORK ?= work
MODEL ?=
INPUT ?=
MASKS ?=
PREDICTIONS ?=
LABELS ?=
HTML ?=
A ?=
B ?=
RUN ?=
VARIANTS ?=
SWEEP ?=
BASELINE ?=
AGAINST ?=
SETTINGS ?=
NAME ?= hippocampus
FORCE ?=
REASON ?=
OUT ?=
FOLD ?=
ARGS ?=
PYTHON ?= python3
TORCH ?= torch==2.13.0

BIN := .venv/bin
READY := .venv/.ready
READY_DEV := .venv/.ready-dev
SLICEWISE := $(BIN)/slicewise
# One process per core, each with one thread. Files keep their order: the notebooks, then the command
# line, which take longest, so that the processes end together. A process that dies ends all: after
# that, pytest-xdist waits for ever.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0
FROM_DATA = $(if $(DATA),--set "data.root=$(DATA)")
TO_OUT = $(if $(OUT),--out "$(OUT)")
# uv, where it is installed, is faster than pip; UV= takes pip.
UV ?= $(shell command -v uv)
INSTALL = $(FROM_PIP) $(if $(UV),$(UV) pip install --compile-bytecode --python $(BIN)/python,$(BIN)/pip install --disable-pip-version-check)
# Compiled once: where Python may not write bytecode, each process would compile every import again.
# uv does not read the settings of pip, which may name a mirror or a folder of wheels.
FROM_PIP = $(if $(UV),eval "$$($(PYTHON) -m pip config list 2>/dev/null | sort -r | sed -nE \
	-e "s/^[^=]*\.index-url=/export UV_DEFAULT_INDEX=/p" -e "s/^[^=]*\.extra-index-url=/export UV_INDEX=/p" \
	-e "/^[^=]*\.find-links=/{s/ /,/g; s/^[^=]*/export UV_FIND_LINKS/p}" -e "s/^[^=]*\.no-index=/export UV_NO_INDEX=/p" \
	-e "s/^[^=]*\.cert=/export SSL_CERT_FILE=/p")"; export UV_INDEX_STRATEGY=unsafe-best-match UV_PYTHON_DOWNLOADS=never;)
# The locks hold every package but PyTorch, whose build is chosen by TORCH: nothing else asks for it.
LOCKED := --no-deps --require-hashes
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" uv --config-file .ci/lock.toml pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-package torch --extra baseline --extra cluster --extra server --extra sweep --group build
needed = $(or $($(1)),$(error make $@ needs $(1)=$(2)))

.DEFAULT_GOAL := help
.PHONY: help setup dev notebooks data check plan convert preprocess train baseline ablate sweep evaluate compare report predict view figures demo test test-all coverage faults fuzz chaos lint format docs lock bench models promote rollback serve sync mlflow mlflow-server clean

help: ## Print the targets and what each does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Build the environment in .venv; TORCH="torch==2.13.0 --index-url ADDRESS" installs another build.

dev: $(READY_DEV) ## Add the packages for tests, checks, documentation and notebooks.

notebooks: $(READY_DEV) ## Open the notebooks in JupyterLab.
	$(BIN)/jupyter lab --notebook-dir notebooks $(ARGS)

data: $(READY) ## Download a public data set: NAME=hippocampus OUT=folder.
	$(SLICEWISE) data $(NAME) --out "$(or $(OUT),$(WORK)/data)" $(ARGS)

check: $(READY) ## Check a data set and report what is wrong with it: DATA=folder HTML=file.
	$(SLICEWISE) check "$(call needed,DATA,folder)" --work "$(WORK)" $(if $(HTML),--html "$(HTML)") $(ARGS)

plan: $(READY) ## Write a configuration that fits a data set and this machine: DATA=folder OUT=file.
	$(SLICEWISE) plan "$(call needed,DATA,folder)" --out "$(call needed,OUT,file)" --work "$(WORK)" $(ARGS)

convert: $(READY) ## Convert DICOM to NIfTI with acquisition facts as JSON: INPUT=path OUT=folder.
	$(SLICEWISE) convert "$(call needed,INPUT,path)" --out "$(or $(OUT),$(WORK)/nifti)" --work "$(WORK)" $(ARGS)

preprocess: $(READY) ## Fill the slice cache: CONFIG=file DATA=folder.
	$(SLICEWISE) preprocess "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(ARGS)

train: $(READY) ## Train and track a model: CONFIG=file DATA=folder FOLD=0 OUT=folder.
	$(SLICEWISE) train "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(if $(FOLD),--fold $(FOLD)) $(TO_OUT) $(ARGS)

baseline: $(READY) ## Fit and score a classical baseline: CONFIG=file DATA=folder FOLD=0 OUT=folder.
	$(SLICEWISE) baseline "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(if $(FOLD),--fold $(FOLD)) $(TO_OUT) $(ARGS)

ablate: $(READY) ## Compare variants of a configuration on the training cases: CONFIG=file VARIANTS=file DATA=folder OUT=folder.
	$(SLICEWISE) ablate "$(CONFIG)" "$(call needed,VARIANTS,file)" --work "$(WORK)" $(FROM_DATA) $(TO_OUT) $(ARGS)

sweep: $(READY) ## Search for better values of a configuration: CONFIG=file SWEEP=file DATA=folder OUT=folder.
	$(SLICEWISE) sweep "$(CONFIG)" "$(call needed,SWEEP,file)" --work "$(WORK)" $(FROM_DATA) $(TO_OUT) $(ARGS)

evaluate: $(READY) ## Score masks against labels: PREDICTIONS=folder LABELS=folder OUT=file.csv.
	$(SLICEWISE) evaluate "$(call needed,PREDICTIONS,folder)" "$(call needed,LABELS,folder)" --out "$(or $(OUT),$(WORK)/evaluation.csv)" $(ARGS)

report: $(READY) ## Write a report of a run, as a page, a PDF and slides: RUN=run BASELINE=run AGAINST=run DATA=folder OUT=folder.
	$(SLICEWISE) report "$(call needed,RUN,run)" --work "$(WORK)" $(if $(BASELINE),--baseline "$(BASELINE)") $(if $(AGAINST),--against "$(AGAINST)") $(if $(DATA),--data "$(DATA)") $(TO_OUT) $(ARGS)

compare: $(READY) ## Compare two runs on the cases that both have scored: A=run B=run OUT=folder.
	$(SLICEWISE) compare "$(call needed,A,run)" "$(call needed,B,run)" --work "$(WORK)" $(TO_OUT) $(ARGS)

predict: $(READY) ## Predict masks for a scan or a folder: MODEL=model INPUT=path OUT=path.
	$(SLICEWISE) predict "$(call needed,MODEL,model)" "$(call needed,INPUT,path)" --out "$(or $(OUT),$(WORK)/predictions)" --work "$(WORK)" $(ARGS)

figures: $(READY) ## Draw how a model works: MODEL=model INPUT=scan OUT=folder.
	$(SLICEWISE) figures "$(call needed,MODEL,model)" "$(call needed,INPUT,scan)" --out "$(or $(OUT),$(WORK)/figures)" --work "$(WORK)" $(ARGS)

view: $(READY) ## Write a page that shows a scan with its masks: INPUT=path MASKS="paths" HTML=file.
	$(SLICEWISE) view "$(call needed,INPUT,path)" $(MASKS) --out "$(or $(HTML),$(WORK)/view.html)" --work "$(WORK)" $(ARGS)

demo: $(READY) ## Run the whole pipeline on a synthetic cohort, from scans to masks and a report.
	$(SLICEWISE) demo --work "$(WORK)" $(ARGS)

test: $(READY_DEV) ## Run the tests, without slow ones and real scans.
	$(PYTEST) -m "not slow and not data" $(ARGS)

test-all: $(READY_DEV) ## Run all tests, with slow ones, real scans and notebooks.
	$(PYTEST) --durations=12 $(ARGS)

coverage: $(READY_DEV) ## Run all tests and list the lines that none of them reaches.
	$(MAKE) test-all ARGS="--cov --cov-report=term $(ARGS)"

fuzz: $(READY_DEV) ## Read 20,000 damaged DICOM files, kill 1,000 tracked runs at random; COUNT=number.
	SLICEWISE_FUZZ_COUNT=$(or $(COUNT),20000) $(BIN)/pytest -q tests/imaging/dicom/test_fuzz.py tests/tracking/test_spool_states.py $(ARGS)

chaos: $(READY_DEV) ## Disturb commands (kills, signals, full disks, locks, damaged files), check what they promise: MINUTES=20 SEED=number ONLY=case.
	$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

faults: $(READY_DEV) ## Write the table of bad inputs and their tests, tests/FAULTS.md.
	$(BIN)/python tests/faults_table.py

lint: $(READY_DEV) ## Check format, style, types and imports between rooms.
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(READY_DEV) ## Format the code.
	$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

docs: $(READY_DEV) ## Build the documentation, build/docs/index.html; a broken link or an undocumented name fails.
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs $(ARGS)

lock: ## Pin all versions with hashes (needs uv); ARGS=--upgrade takes newer ones.
	$(LOCK) --extra notebooks --group dev --output-file requirements-dev.txt $(ARGS)
	cp requirements-dev.txt requirements.txt
	$(LOCK) --output-file requirements.txt

bench: $(READY) ## Measure throughput, and the matrix-multiply rate of this machine: ONLY=benchmark.
	$(SLICEWISE) bench --work "$(WORK)" $(if $(ONLY),--only $(ONLY)) $(ARGS)

models: $(READY) ## List registered model versions with their aliases.
	$(SLICEWISE) models --work "$(WORK)" $(ARGS)

promote: $(READY) ## Make a model version the champion if it is not worse: RUN=run FORCE=reason.
	$(SLICEWISE) promote "$(call needed,RUN,run)" --work "$(WORK)" $(if $(FORCE),--force "$(FORCE)") $(ARGS)

rollback: $(READY) ## Make the previous champion the champion again: NAME=model REASON=text.
	$(SLICEWISE) rollback "$(NAME)" --reason "$(call needed,REASON,text)" --work "$(WORK)" $(ARGS)

serve: $(READY) ## Serve a model over HTTP: MODEL=model.
	$(SLICEWISE) serve "$(call needed,MODEL,model)" --work "$(WORK)" $(ARGS)

sync: $(READY) ## Deliver runs that wait in the work folder to the tracking store.
	$(SLICEWISE) sync --work "$(WORK)" $(ARGS)

mlflow: $(READY) ## Serve MLflow's web interface for runs and models.
	$(SLICEWISE) mlflow --work "$(WORK)" $(ARGS)

mlflow-server: $(READY) ## Serve the runs and models of a group: SETTINGS=file.
	$(SLICEWISE) mlflow-server "$(call needed,SETTINGS,file)" $(ARGS)

clean: ## Remove caches of tools; the environment and the work folder are kept.
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* build dist && find pipeline tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11 to 3.14 is needed, and $(PYTHON) is %d.%d; name another one: make setup PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/pip || { $(FROM_PIP) $(if $(UV),$(UV) venv --quiet --allow-existing --seed --python $(PYTHON),$(PYTHON) -m venv) .venv; } || { rm -rf .venv; echo 'No environment could be made with $(PYTHON); on Debian, install python3-venv.' >&2; exit 1; }
	@echo 'Installing requirements.txt and $(TORCH) with $(if $(UV),uv,pip)'
	@$(INSTALL) $(LOCKED) -r requirements.txt
	@$(INSTALL) $(TORCH)
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import torch; print("PyTorch", torch.__version__, "for", "CUDA " + torch.version.cuda if torch.version.cuda else "CPU")'
	@touch $(READY)

$(READY_DEV): $(READY) requirements-dev.txt
	@echo 'Installing requirements-dev.txt with $(if $(UV),uv,pip)'
	@$(INSTALL) $(LOCKED) -r requirements-dev.txt
	@touch $(READY_DEV)
