# Every command of this artifact; `make` alone lists them.
#
#   PYTHON=python3.12        the interpreter the environment is made from (3.11 or newer)
#   WORKERS=2                test processes side by side
#   SCHEDULER=tcp://...      a Dask cluster for the studies, instead of this machine's cores
#   CQB_ROUTERBENCH_DIR=...  a folder of RouterBench CSV files: run its studies too, from the start
#   CQB_SPROUT_DIR=..., CQB_ZEROEVAL_DIR=...  likewise the files of other sets (data/README.md)

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON  ?= python3
WORKERS ?= 2
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
ENCODE  := $(VENV)/.encode
INDEX   := $(VENV)/.index
GPU     := $(VENV)/.gpu
CLUSTER := $(VENV)/.cluster
SERVE   := $(VENV)/.serve
PEERS   := $(VENV)/.peers
RL      := $(VENV)/.rl
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock

# Runs lie side by side over the cores, so each process keeps to one BLAS thread. It also keeps
# sums, and with them the committed outputs, the same on machines with different core counts.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

# The outputs of the notebooks are committed, and compared to the digit. Where a processor has AVX-512,
# OpenBLAS and NumPy add up in another order; for notebooks they keep to AVX2, as on other x86 processors.
AVX2 := OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
KEEP := $(if $(shell grep -m 1 -o avx512f /proc/cpuinfo 2>/dev/null),$(AVX2))

# Only real rows have prompts to encode, and only they need the large encoder packages.
SETS       := ROUTERBENCH SPROUT EMBEDLLM ZEROEVAL LLMROUTER EVALPERF
DATA_READY := $(READY) $(if $(strip $(foreach set,$(SETS),$(CQB_$(set)_DIR))),$(ENCODE))

.PHONY: help
help:  ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

.PHONY: reproduce
reproduce: $(DATA_READY)  ## Run the default studies from the start, execute the notebooks, draw every figure
	$(BIN)/python -m cqb run
	$(KEEP) $(BIN)/python notebooks/execute.py

.PHONY: smoke
smoke: $(READY)  ## A first look: four policies on real rows, one table, one figure (under 90 seconds)
	$(BIN)/python notebooks/smoke.py

.PHONY: verify
verify: $(DATA_READY) $(INDEX)  ## Run tasks of every stored table again, compare every number (ALL=1: all; SHARD=1/4: a part)
	$(BIN)/python -m cqb verify $(if $(ALL),--all) $(if $(SHARD),--shard $(SHARD))

.PHONY: test
test: lint  ## Check style, run the tests, execute the committed notebooks and compare their outputs
	$(BIN)/python -m pytest -n $(WORKERS)
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	env $(foreach set,$(SETS) AZURE CRUXEVAL,-u CQB_$(set)_DIR) CQB_FIGURES="$$scratch" CQB_RUNS="$$scratch/runs" $(KEEP) \
	    $(BIN)/python -m pytest -n $(WORKERS) \
	    --dist loadscope -p no:cacheprovider --nbval --nbval-current-env --nbval-kernel-startup-timeout 300 \
	    --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks

.PHONY: drills
drills: $(READY)  ## Kills, a full disk, damaged files, malformed tables, many kernels (under 15 minutes)
	$(BIN)/python tests/drills/run.py

.PHONY: data
data: $(READY)  ## Download the real data sets at their pinned revisions and verify them
	$(BIN)/python -m cqb.datasets.download

.PHONY: lab
lab: $(READY)  ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

.PHONY: bench
bench: $(READY) $(INDEX) $(PEERS)  ## Measure speed: the table figures/speed.json, its figure, and .benchmarks/bench.json
	mkdir -p .benchmarks
	$(BIN)/python tests/benchmarks/speed.py
	$(BIN)/python tests/benchmarks/peers.py
	$(BIN)/python tests/benchmarks/port_speed.py
	$(BIN)/python tests/benchmarks/router.py
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json=.benchmarks/bench.json

.PHONY: gpu-check
gpu-check: $(GPU)  ## Does the GPU take the decisions of the CPU? (a minute; needs a card)
	$(BIN)/python tests/benchmarks/gpu.py check

.PHONY: bench-gpu
bench-gpu: $(GPU)  ## Many runs at once on a GPU beside the CPU: figures/speed_gpu.json (ten minutes; needs a card)
	$(BIN)/python tests/benchmarks/gpu.py bench

.PHONY: scale
scale: $(READY)  ## A million rounds, a thousand models, a hundred thousand prompts or queries: figures/scale.json
	$(BIN)/python tests/benchmarks/scale.py

# Studies by name: `python -m cqb list` shows all. Each resumes where it stopped.
STUDY = $(BIN)/python -m cqb run --here $(if $(SCHEDULER),--scheduler $(SCHEDULER))

.PHONY: paper
paper: $(DATA_READY) $(if $(SCHEDULER),$(CLUSTER))  ## Every setting of the paper on the real sets that are here (hours)
	$(STUDY) '*-paper'

.PHONY: theory
theory: $(READY)  ## Every check of the theory at its full size (a quarter of an hour)
	$(STUDY) 'theory-*'

.PHONY: beyond
beyond: $(DATA_READY)  ## Beyond ACQB: loads, settings and robustness in notebook 09 (its comparison: bar-*, hours)
	$(STUDY) 'beyond-*' 'robust-*'

.PHONY: port
port: $(DATA_READY) $(INDEX)  ## PORT against its baselines: comparison, sweeps, queue
	$(STUDY) 'port-*'

.PHONY: qos
qos: $(READY)  ## Every policy of the QoS system (10 minutes of CPU)
	$(STUDY) 'qos-*'

.PHONY: rl
rl: $(RL)  ## Train the learned QoS policies from the start (2 minutes of CPU each)
	$(BIN)/python -m cqb_qos.rl

.PHONY: serve
serve: $(SERVE)  ## Two routers behind HTTP on this machine, with simulated users and a page that shows them learn
	PYTHONPATH=notebooks $(BIN)/python -m serve $(POLICIES)

.PHONY: sensitivity
sensitivity: $(DATA_READY)  ## How ACQB depends on its settings (RouterBench: 20 minutes of CPU)
	$(STUDY) 'sensitivity-*'

.PHONY: refresh
refresh: $(READY)  ## Execute the committed notebooks again, in place, with their figures; the README's claims
	$(KEEP) $(BIN)/python notebooks/execute.py --refresh
	$(BIN)/python notebooks/readme.py

.PHONY: site
site: $(READY)  ## The executed notebooks as a static site in the folder site (no network needed)
	$(BIN)/python notebooks/build_site.py

.PHONY: lint
lint: $(READY)  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The nvidia, CUDA toolkit and triton wheels follow from the platform's build of torch, not from us.
.PHONY: lock
lock:  ## Choose every version again and write requirements.lock (CPython 3.11 on Linux)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo "lock: the lock is made with Python 3.11; name one: make lock PYTHON=python3.11" >&2; exit 1; }
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	"$$scratch/venv/bin/pip" install --quiet --upgrade --upgrade-strategy eager -e '.[notebooks,site,test,encode,gpu,index,cluster,real,rl,serve,peers]'; \
	{ sed -n '/^#/p' requirements.lock; \
	  "$$scratch/venv/bin/pip" list --format=freeze --exclude pip --exclude cqb \
	  | sed 's/+.*//' | grep -vE '^(nvidia-|cuda-(bindings|toolkit)=|triton=)'; } > "$$scratch/lock"; \
	cp "$$scratch/lock" requirements.lock
	$(MAKE) hashes

.PHONY: hashes
hashes:  ## Write .ci/hashes.txt: what the lock pins for the default environment, with the sha256 of every file
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	"$$scratch/venv/bin/pip" install --quiet uv; \
	echo setuptools > "$$scratch/build.txt"; \
	"$$scratch/venv/bin/uv" pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	    --no-header --no-annotate --constraint requirements.lock --extra notebooks --extra site --extra test \
	    --output-file .ci/hashes.txt pyproject.toml "$$scratch/build.txt"

.PHONY: clean
clean:  ## Remove the environment and the caches of tools; data, runs and figures stay
	rm -rf $(VENV) build lib/*.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# The stamps are written last: an interrupted set-up is done again from an empty environment.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "cqb needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Setting up the environment in $(VENV) (once, a minute or two)"
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) -e '.[notebooks,site,test]'
	@touch $@

$(ENCODE): $(READY)
	@echo "Adding the sentence encoder (once, a minute or more)"
	$(PIP) -e '.[encode,real]'
	@touch $@

$(INDEX): $(READY)
	$(PIP) -e '.[index]'
	@touch $@

$(CLUSTER): $(READY)
	$(PIP) -e '.[cluster]'
	@touch $@

$(SERVE): $(READY)
	$(PIP) -e '.[serve]'
	@touch $@

$(PEERS): $(READY)
	$(PIP) -e '.[peers]'
	@touch $@

$(RL): $(READY)
	$(PIP) -e '.[rl]'
	@touch $@

$(GPU): $(READY)
	$(PIP) -e '.[gpu]'
	@touch $@
