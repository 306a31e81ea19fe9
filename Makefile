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
SLICEWISE := $(BIN)/slicewise
# A process a core, each with one thread. Files keep their order: the notebooks, then the command
# line, which take longest, so that the processes end together.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder
FROM_DATA = $(if $(DATA),--set "data.root=$(DATA)")
TO_OUT = $(if $(OUT),--out "$(OUT)")
needed = $(or $($(1)),$(error make $@ needs $(1)=$(2)))

.DEFAULT_GOAL := help
.PHONY: help setup data check plan convert preprocess train baseline ablate sweep evaluate compare report predict view figures demo test test-all coverage faults fuzz lint format bench models promote rollback serve sync mlflow mlflow-server clean

help: ## Print the targets and what each does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Build the environment in .venv; TORCH="torch==2.13.0 --index-url ADDRESS" takes another build.

data: $(READY) ## Fetch a public data set: NAME=hippocampus OUT=folder.
	$(SLICEWISE) data $(NAME) --out "$(or $(OUT),$(WORK)/data)" $(ARGS)

check: $(READY) ## Tell what a folder of scans holds and what is wrong with it: DATA=folder HTML=file.
	$(SLICEWISE) check "$(call needed,DATA,folder)" --work "$(WORK)" $(if $(HTML),--html "$(HTML)") $(ARGS)

plan: $(READY) ## Write a configuration that fits a data set and this machine: DATA=folder OUT=file.
	$(SLICEWISE) plan "$(call needed,DATA,folder)" --out "$(call needed,OUT,file)" --work "$(WORK)" $(ARGS)

convert: $(READY) ## Write DICOM as NIfTI with its acquisition facts: INPUT=path OUT=folder.
	$(SLICEWISE) convert "$(call needed,INPUT,path)" --out "$(or $(OUT),$(WORK)/nifti)" --work "$(WORK)" $(ARGS)

preprocess: $(READY) ## Fill the slice cache: CONFIG=file DATA=folder.
	$(SLICEWISE) preprocess "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(ARGS)

train: $(READY) ## Train and track a model: CONFIG=file DATA=folder FOLD=0 OUT=folder.
	$(SLICEWISE) train "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(if $(FOLD),--fold $(FOLD)) $(TO_OUT) $(ARGS)

baseline: $(READY) ## Score thresholds and a prior where a network would be: CONFIG=file DATA=folder FOLD=0 OUT=folder.
	$(SLICEWISE) baseline "$(CONFIG)" --work "$(WORK)" $(FROM_DATA) $(if $(FOLD),--fold $(FOLD)) $(TO_OUT) $(ARGS)

ablate: $(READY) ## Compare recipes inside the training cases: CONFIG=file VARIANTS=file DATA=folder OUT=folder.
	$(SLICEWISE) ablate "$(CONFIG)" "$(call needed,VARIANTS,file)" --work "$(WORK)" $(FROM_DATA) $(TO_OUT) $(ARGS)

sweep: $(READY) ## Search for values that do well: CONFIG=file SWEEP=file DATA=folder OUT=folder.
	$(SLICEWISE) sweep "$(CONFIG)" "$(call needed,SWEEP,file)" --work "$(WORK)" $(FROM_DATA) $(TO_OUT) $(ARGS)

evaluate: $(READY) ## Score masks against labels: PREDICTIONS=folder LABELS=folder OUT=file.csv.
	$(SLICEWISE) evaluate "$(call needed,PREDICTIONS,folder)" "$(call needed,LABELS,folder)" --out "$(or $(OUT),$(WORK)/evaluation.csv)" $(ARGS)

report: $(READY) ## Write a page and slides that tell how good a run is: RUN=run BASELINE=run AGAINST=run DATA=folder OUT=folder.
	$(SLICEWISE) report "$(call needed,RUN,run)" --work "$(WORK)" $(if $(BASELINE),--baseline "$(BASELINE)") $(if $(AGAINST),--against "$(AGAINST)") $(if $(DATA),--data "$(DATA)") $(TO_OUT) $(ARGS)

compare: $(READY) ## Tell which of two runs is better, and how sure that is: A=run B=run OUT=folder.
	$(SLICEWISE) compare "$(call needed,A,run)" "$(call needed,B,run)" --work "$(WORK)" $(TO_OUT) $(ARGS)

predict: $(READY) ## Write masks for a scan or a folder: MODEL=model INPUT=path OUT=path.
	$(SLICEWISE) predict "$(call needed,MODEL,model)" "$(call needed,INPUT,path)" --out "$(or $(OUT),$(WORK)/predictions)" --work "$(WORK)" $(ARGS)

figures: $(READY) ## Draw how a model works: MODEL=model INPUT=scan OUT=folder.
	$(SLICEWISE) figures "$(call needed,MODEL,model)" "$(call needed,INPUT,scan)" --out "$(or $(OUT),$(WORK)/figures)" --work "$(WORK)" $(ARGS)

view: $(READY) ## Write a page that shows a scan with its masks: INPUT=path MASKS="paths" HTML=file.
	$(SLICEWISE) view "$(call needed,INPUT,path)" $(MASKS) --out "$(or $(HTML),$(WORK)/view.html)" --work "$(WORK)" $(ARGS)

demo: $(READY) ## Run the whole path on a synthetic cohort, from scans to masks and figures.
	$(SLICEWISE) demo --work "$(WORK)" $(ARGS)

test: $(READY) ## Run the tests that need neither time nor real scans.
	$(SIDE_BY_SIDE) -m "not slow and not data" $(ARGS)

test-all: $(READY) ## Run every test, slow ones, real scans and notebooks too.
	$(SIDE_BY_SIDE) --durations=12 $(ARGS)

coverage: $(READY) ## Run every test and tell which lines none of them reaches.
	$(MAKE) test-all ARGS="--cov --cov-report=term $(ARGS)"

fuzz: $(READY) ## Damage 20,000 small DICOM files and read them; COUNT=number.
	SLICEWISE_FUZZ_COUNT=$(or $(COUNT),20000) $(BIN)/pytest -q tests/imaging/dicom/test_fuzz.py $(ARGS)

faults: $(READY) ## Write the table of bad inputs and their tests, tests/FAULTS.md.
	$(BIN)/python tests/faults_table.py

lint: $(READY) ## Check format, style, types and the direction of imports.
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the common format.
	$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

bench: $(READY) ## Measure throughput beside the rate that this machine reaches.
	$(SLICEWISE) bench --work "$(WORK)" $(ARGS)

models: $(READY) ## List registered models with their aliases.
	$(SLICEWISE) models --work "$(WORK)" $(ARGS)

promote: $(READY) ## Make a version the champion if it is not worse: RUN=run FORCE=reason.
	$(SLICEWISE) promote "$(call needed,RUN,run)" --work "$(WORK)" $(if $(FORCE),--force "$(FORCE)") $(ARGS)

rollback: $(READY) ## Make the previous champion champion again: NAME=model REASON=text.
	$(SLICEWISE) rollback "$(NAME)" --reason "$(call needed,REASON,text)" --work "$(WORK)" $(ARGS)

serve: $(READY) ## Answer requests with masks over HTTP: MODEL=model.
	$(SLICEWISE) serve "$(call needed,MODEL,model)" --work "$(WORK)" $(ARGS)

sync: $(READY) ## Deliver to the tracking store what waits for it.
	$(SLICEWISE) sync --work "$(WORK)" $(ARGS)

mlflow: $(READY) ## Open the web page of runs and models.
	$(SLICEWISE) mlflow --work "$(WORK)" $(ARGS)

mlflow-server: $(READY) ## Serve runs and models of a group from PostgreSQL: SETTINGS=file.
	$(SLICEWISE) mlflow-server "$(call needed,SETTINGS,file)" $(ARGS)

clean: ## Remove caches of tools; the environment and the work folder stay.
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* build dist && find pipeline tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is %d.%d; name another one: make setup PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; echo 'The module venv of $(PYTHON) does not work; on Debian, install python3-venv.' >&2; exit 1; }
	@echo 'Installing $(TORCH)'
	$(BIN)/pip install --disable-pip-version-check $(TORCH) -c constraints.txt
	$(BIN)/pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@$(BIN)/python -c 'import torch; print("PyTorch", torch.__version__, "for", "CUDA " + torch.version.cuda if torch.version.cuda else "CPU")'
	@touch $(READY)
