# make demo   explain some sentences: coloured words in the terminal, pages and pictures in demo/
# make test   run all tests
# Both make .venv by themselves, and again only what has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL := build/wheel
# Only one at a time may change the venv.
PIP := flock $(VENV)/made $(BIN)/python -m pip --disable-pip-version-check
requirements = $$($(BIN)/python tools/requirements.py $(1))

PACKAGE := $(shell find src model/sst5 data -type f \
             -not -name '*.so' -not -path '*/__pycache__/*' -not -path '*.egg-info/*') \
           pyproject.toml setup.py MANIFEST.in README.md LICENSE

.PHONY: demo test lint test-sanitize test-emulated test-valgrind test-oldest test-install count bench \
        results notebooks docs clean

# As many processes as there are processors. If one dies the run fails, and so it does after half an hour.
WORKERS ?= auto
IN_PARALLEL := -n $(WORKERS) --dist worksteal --max-worker-restart=0
PYTEST := timeout --kill-after=10 1800 $(BIN)/python -m pytest $(IN_PARALLEL)

demo: $(VENV)/installed
	@$(BIN)/python examples/demo.py demo

# What is downloaded comes while the kernels compile.
test:
	@$(MAKE) --no-print-directory --jobs=2 $(VENV)/installed $(VENV)/test-tools
	@LRPLSTM_WHEEL=$(WHEEL) $(PYTEST)

# Tests of the kernels with sanitizers, which see what is read or written out of bounds. For any processor, and for
# this one.
test-sanitize: $(VENV)/installed $(VENV)/test-tools $(VENV)/build-tools
	@LRPLSTM_SANITIZE=1 LRPLSTM_BUILDS="baseline $(shell $(BIN)/python -c 'import lrplstm._kernels as k; print(k.processor_runs()[-1])' 2>/dev/null)" \
	    $(call build_into,build/sanitize)
	@PYTHON=$(BIN)/python WORKERS=$(WORKERS) PYTHONPATH=build/sanitize/lib bash tools/test_sanitized.sh

# The oldest releases of what it needs that pyproject.toml promises, in an environment of their own. Without
# PyTorch, without warnings of what is newer than its users were, and without a file that safetensors could not write yet.
OLDEST := build/oldest
OLDEST_TESTS := $(addprefix tests/test_,golden.py heads.py storage.py attribution.py heatmap.py \
                  evaluation_plots.py tokenizers.py structure.py arras.py keras_hostile.py cli.py docs_tables.py)

test-oldest: $(WHEEL)/built
	@rm -rf $(OLDEST)
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip --disable-pip-version-check install --quiet $(WHEEL)/*.whl \
	    $$($(PYTHON) tools/requirements.py oldest) pytest pytest-timeout pytest-xdist hypothesis pypdf
	@timeout --kill-after=10 600 $(OLDEST)/bin/python -m pytest $(IN_PARALLEL) \
	    -p no:cacheprovider -W ignore::DeprecationWarning -k "not complex64" $(OLDEST_TESTS)

# Wheel, sdist and an editable install, each in an environment of its own.
test-install: $(WHEEL)/built
	@PYTHON=$(PYTHON) bash tools/smoke_test.sh

# Memory errors and undefined values in the kernels that are in use.
test-valgrind: $(VENV)/installed
	@$(BIN)/python tools/memcheck.py

# The package on processors without AVX and without AVX-512, which QEMU plays.
test-emulated: $(VENV)/installed $(VENV)/test-tools
	@$(BIN)/python tools/test_emulated.py

# Instructions that the kernels run for a fixed workload, compared with benchmarks/instructions.json.
count: $(VENV)/installed
	@$(BIN)/python benchmarks/instructions.py

# How fast it is: a table of ratios, and benchmarks/results.json. LRPLSTM_SST may name the treebank.
bench: $(VENV)/installed $(VENV)/bench-tools
	@$(BIN)/python -m benchmarks

# Tables and pictures in docs/results: how well methods explain where the truth is known.
EXPERIMENTS := toy_arithmetic needle word_deletion words positions

results: $(VENV)/installed $(VENV)/train-tools
	@for name in $(EXPERIMENTS); do $(BIN)/python -m experiments.$$name || exit 1; done

# What the cells of examples/*.ipynb show, the picture at the top of the README, and diagrams of docs/lrp-explained.md.
notebooks: $(VENV)/installed
	@$(BIN)/python tools/notebooks.py
	@$(BIN)/python tools/pictures.py
	@$(BIN)/python tools/diagrams.py

# The documentation site, in build/docs. A link or a name that leads nowhere is an error.
docs: $(VENV)/installed $(VENV)/docs-tools
	@rm -rf docs/generated
	@$(BIN)/python -m sphinx -c docs -d build/doctrees -n -W --keep-going -q . build/docs
	@echo "build/docs/index.html"

lint: $(VENV)/installed $(VENV)/lint-tools
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@PATH="$(abspath $(BIN)):$$PATH" cython-lint src  # it calls pycodestyle
	@$(BIN)/mypy


# A venv knows where it is, so a copied or moved one is made anew; .venv/made is its last step.
$(VENV)/made:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; on Debian: apt-get install python3 python3-venv python3-dev gcc" >&2; exit 1; }
	@$(PYTHON) tools/check_toolchain.py
	@echo "making $(VENV)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@torch=$$($(PYTHON) tools/installed_torch.py); if [ -n "$$torch" ]; then \
	    echo "using the PyTorch in $$torch"; \
	    echo "$$torch" > $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/installed_torch.pth; fi
	@touch $@

$(VENV)/build-tools: $(VENV)/made pyproject.toml
	@$(PIP) install --quiet $(call requirements,build)
	@touch $@

$(WHEEL)/built: $(VENV)/build-tools $(PACKAGE)
	@$(PYTHON) tools/check_toolchain.py
	@echo "building lrplstm: a minute or two"
	@PYTHON=$(BIN)/python bash tools/build_wheel.sh
	@touch $@

$(VENV)/installed: $(VENV)/made $(WHEEL)/built
	@echo "installing lrplstm"
	@$(PIP) install --quiet $(WHEEL)/*.whl
	@$(PIP) install --quiet --no-deps --force-reinstall $(WHEEL)/*.whl
	@touch $@

# pyproject.toml names what an extra needs.
$(VENV)/test-tools $(VENV)/lint-tools $(VENV)/docs-tools $(VENV)/bench-tools $(VENV)/train-tools: $(VENV)/%-tools: $(VENV)/made pyproject.toml
	@echo "installing what $* needs$(if $(filter lint docs,$*),, (PyTorch alone, unless it is there, takes 190 MB to download and 750 MB on disk))"
	@$(PIP) install --quiet $(call requirements,$*)
	@touch $@

# First what is small, so that kernels compile while the rest comes.
$(VENV)/test-tools: | $(VENV)/build-tools

# Build the package into a folder, without installing it.
build_into = $(BIN)/python setup.py --quiet build --build-base $(1) --build-lib $(1)/lib

clean:
	rm -rf $(VENV) build dist demo docs/generated
