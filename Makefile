# The commands of this project. Each sets up what it needs in .venv (tox, nothing else) and .tox (the
# environments that tox makes); nothing is installed outside this folder.

PYTHON ?= python3
TOX := .venv/bin/tox

.DEFAULT_GOAL := help
.PHONY: help test demo bench lint types core torch docs coverage anylearn lowest newest lock clean

help:
	@echo "make demo     train on real digits, read from a local server; draws the run"
	@echo "make test     every check: lint, types, tests without and with torch, the documentation"
	@echo "make bench    measure against the peers"
	@echo "make lint | types | core | torch | docs    one of the checks; docs runs the code in the pages and builds build/site"
	@echo "make coverage the lines of aisio that no test reaches"
	@echo "make anylearn the tests of tasks against the real anylearn"
	@echo "make lowest   the tests without torch, on the oldest versions allowed"
	@echo "make newest   all tests, on the newest versions there are"
	@echo "make lock     write the exact versions that the others install, requirements.lock"
	@echo "make clean    remove all that these commands made"
	@echo "The first run installs PyTorch with its CUDA libraries, 5 GB, into .tox; later runs need no network."
	@echo "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test    takes PyTorch for CPUs instead"
	@echo "PYTHON=/path/to/python3.12 make test    chooses another Python (after make clean)"

test: $(TOX)
	@echo "== Running every check with tox. The first run installs PyTorch (5 GB) into .tox."
	$(TOX) run

demo bench: $(TOX)
	@echo "== Running the $@ with tox. The first run installs PyTorch (5 GB) into .tox."
	$(TOX) run -m $@

lint core lowest newest lock: $(TOX)
	$(TOX) run -e $@

types torch coverage anylearn: $(TOX)
	$(TOX) run -e full,$@

docs: $(TOX)
	$(TOX) run -e full,torch,docs -- test_docs.py

# Made last and at once, so that an installation that was interrupted is begun again.
$(TOX):
	@command -v $(PYTHON) >/dev/null || { echo "aisio needs Python 3.10 or newer; there is no $(PYTHON) on PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "aisio needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "== Installing tox into .venv"
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock tox

clean:
	rm -rf .venv .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/.hypothesis build *.egg-info
