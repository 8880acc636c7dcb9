# make demo   explain some sentences: coloured words in the terminal, pages and pictures in demo/
# make test   run all tests
# Both make .venv by themselves, and again only what has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

PACKAGE := $(shell find src model/sst5 data -type f \
             -not -name '*.so' -not -path '*/__pycache__/*' -not -path '*.egg-info/*') \
           pyproject.toml setup.py MANIFEST.in README.md LICENSE

.PHONY: demo test lint test-boundscheck test-sanitize test-emulated test-valgrind count bench results \
        notebooks clean

# As many processes as there are processors; those that share a wheel are together.
PARALLEL := -n auto --dist loadgroup

demo: $(VENV)/installed
	@$(BIN)/python examples/demo.py demo

test: $(VENV)/installed $(VENV)/test-tools
	@$(BIN)/python -m pytest $(PARALLEL)

# What runs the kernels, with kernels that raise IndexError instead of reading out of bounds.
KERNEL_TESTS := $(addprefix tests/test_,kernels.py shapes.py heads.py methods.py golden.py options.py \
                  batching.py attribution.py product_rules.py perturbation.py decomposition.py torch.py compat.py default_model.py packaging.py)

test-boundscheck: $(VENV)/installed $(VENV)/test-tools
	@rm -rf build/boundscheck build/lib*
	@LRPLSTM_BOUNDSCHECK=1 $(PIP) install --quiet --no-deps --target build/boundscheck .
	@PYTHONPATH=build/boundscheck LRPLSTM_BOUNDSCHECK=1 $(BIN)/python -m pytest $(PARALLEL) -m "not packaging" $(KERNEL_TESTS)

# Tests of the kernels with sanitizers, which see what bounds checks cannot: pointers and whole vectors.
test-sanitize: $(VENV)/installed $(VENV)/test-tools
	@rm -rf build/sanitize build/lib*
	@LRPLSTM_SANITIZE=1 $(PIP) install --quiet --no-deps --target build/sanitize .
	@PYTHON=$(BIN)/python PYTHONPATH=build/sanitize bash tools/test_sanitized.sh

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

# What the cells of examples/*.ipynb show, and the picture at the top of the README.
notebooks: $(VENV)/installed
	@$(BIN)/python tools/notebooks.py
	@$(BIN)/python tools/pictures.py

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
	@touch $@

# build/lib would keep modules that are gone from the source.
$(VENV)/installed: $(VENV)/made $(PACKAGE)
	@$(PYTHON) tools/check_toolchain.py
	@echo "building and installing lrplstm"
	@rm -rf build/lib*
	@$(PIP) install --quiet .
	@touch $@

# pyproject.toml names what an extra needs.
$(VENV)/test-tools $(VENV)/lint-tools $(VENV)/bench-tools $(VENV)/train-tools: $(VENV)/%-tools: $(VENV)/made pyproject.toml
	@echo "installing what $* needs"
	@$(PIP) install --quiet $$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$*'])")
	@touch $@

clean:
	rm -rf $(VENV) build dist demo
