# Each target works alone on a fresh machine with Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCK   := .ci/requirements.lock
READY  := $(VENV)/.ready
# An emulator of AWS that checks permissions; needs an SDK of its own, so an environment as well.
MINISTACK := .venv-ministack
# Options of the benchmark, such as BENCH='--quick' or BENCH='--only a --docs'.
BENCH  ?=
# Options of the soak: more schedules, another range of seeds, or one seed alone (--seed 17).
SOAK   ?= --seeds 1000 --jobs 2 --stops 40 --docs
PEERS  := bench/.peers
# Of mutants, such as MUTATION='--at-once 2', '--share 0.35' or '--again survivors'.
MUTATION ?=
# How many times as many inputs as `make test` tries.
FUZZ   ?= 20

.PHONY: demo test mutation fuzz soak sbom bench bench-peers check format lint types layers generated wheel \
  docs picture lock clean

demo: $(READY)            ## scan an organization served on this machine, write reports/latest
	$(BIN)/iamaudit demo

test: $(READY) $(MINISTACK)/.ready   ## every test
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

mutation: .venv-mutation/.ready   ## break the code in every small way, and see whether a test notices (an hour)
	nice .venv-mutation/bin/python .ci/mutation.py $(MUTATION)

fuzz: $(READY)            ## inputs that no program writes, to every parser of outside bytes
	IAMAUDIT_FUZZ_TIMES=$(FUZZ) IAMAUDIT_FUZZ_RESULT=tests/fuzz.json $(BIN)/pytest -q tests/fuzz

sbom: .venv-sbom/.ready  ## dist/iamaudit.cdx.json: what an installation is made of (CycloneDX)
	mkdir -p dist
	.venv-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  -o dist/iamaudit.cdx.json .ci/image.lock

bench: $(READY)           ## speed and memory, as ratios and against their budgets
	$(BIN)/python bench/judging.py
	$(BIN)/python -m bench.run $(BENCH)

# What is compared with needs SDKs of its own, prowler 2.3 GB of them.
bench-peers: $(READY) $(PEERS)/c7n-org/.ready $(PEERS)/prowler/.ready   ## side by side with c7n-org and prowler
	$(BIN)/python -m bench.run --peers --only a $(BENCH)

$(PEERS)/c7n-org/.ready: .ci/bench-peers.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	touch $@

$(PEERS)/prowler/.ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet prowler==5.46.0
	touch $@

soak: $(READY)            ## hundreds of schedules of faults; the table in docs/reliability.md
	$(BIN)/python -m tests.faults.soak $(SOAK)

check: format lint types layers generated wheel test   ## what CI runs

format: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

generated: $(READY)       ## whether the generated blocks of the documents are up to date
	$(BIN)/python .ci/generate_docs.py --check

wheel: $(READY)           ## build the wheel and try it in an environment of its own
	$(BIN)/python .ci/smoke_wheel.py

docs: $(READY)            ## write the generated blocks of the documents anew
	$(BIN)/python .ci/generate_docs.py

picture: $(READY)         ## take the README's picture of the demo's report (needs chromium)
	$(BIN)/python .ci/screenshot.py

lock:                     ## renew the locked versions (needs uv on PATH)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --no-emit-package iamaudit \
	  -o $(LOCK) pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c $(LOCK) \
	  --no-emit-index-url --no-header --no-annotate -o .ci/image.lock pyproject.toml
	echo hatchling | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c $(LOCK) \
	  --no-emit-index-url --no-header --no-annotate -o .ci/build.lock -
	echo 'ministack==1.5.33' | uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o .ci/ministack.lock -
	echo 'mutmut==3.8.1' | uv pip compile --quiet --universal --python-version 3.11 -c $(LOCK) \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o .ci/mutation.lock -
	echo 'cyclonedx-bom==7.5.0' | uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate -o .ci/sbom.lock -

clean:
	rm -rf $(VENV) $(MINISTACK) .venv-mutation .venv-sbom mutants dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "iamaudit needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(MINISTACK)/.ready: .ci/ministack.lock
	$(PYTHON) -m venv $(MINISTACK)
	$(MINISTACK)/bin/python -m pip install --quiet --require-hashes -r $<
	touch $@

.venv-mutation/.ready: $(LOCK) .ci/mutation.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $(LOCK)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r .ci/mutation.lock
	$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv-sbom/.ready: .ci/sbom.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	touch $@
