# The book in two commands: `make book` builds it, `make test` tests everything in it.
# A fresh clone needs Python 3.11 and make; the environment is made on first use (VENV=... to use another).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000

# Some virtual machines advertise AMX and do not provide it: a bfloat16 matmul then kills Python.
export ONEDNN_MAX_CPU_ISA ?= AVX512_CORE_BF16
# Threads that wait by spinning make small operations ten times slower on a busy machine.
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHONPATH := book/_ext$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: book test notebooks notebooks-all structure catalogue cost time serve lint mutation links pdf offline downloads downloads-check colab-check sight pictures bench clean help
.DEFAULT_GOAL := help

help:
	@echo "make book           build both editions into _build/html"
	@echo "make test           build the book, then run every check and test"
	@echo "make notebooks      execute the chapters whose code changed (notebooks-all: every one)"
	@echo "make structure      check the sources: languages, Markdown, outputs, typography, glossary"
	@echo "make catalogue      count every module anew for the tables of the book"
	@echo "make cost           count what every module costs and how it grows (two minutes)"
	@echo "make time           time every module beside the copy; wants a quiet machine (five minutes)"
	@echo "make bench          compare speed with other implementations, about an hour"
	@echo "make sight          measure anew what each mechanism can see, and why, about 45 minutes"
	@echo "make pictures       train every mechanism on the digits anew, about half an hour"
	@echo "make pdf            print the book: one PDF for each edition in _build/pdf"
	@echo "make offline        pack the site: one archive for each edition in _build/offline"
	@echo "make downloads      both, put into the built site with links to them"
	@echo "make serve          show the built book on http://localhost:$(PORT)/"
	@echo "make lint           style, types"
	@echo "make mutation       see whether the mechanisms' tests notice what is changed in the code, about"
	@echo "                    half an hour; FILES=\"se cbam\" names the files, otherwise all that changed"
	@echo "make links          ask every address outside the book whether it still answers"
	@echo "make downloads-check  make the downloads, then test every page of them"
	@echo "make colab-check    run every published notebook in a new environment, both languages"
	@echo "make clean          remove everything that was built"

# The environment is up to date when this file is newer than what it was made from.
$(VENV)/.attnbook: requirements.txt requirements-peers.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

book: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.build

notebooks: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.execute

notebooks-all: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.execute --all

structure: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.structure

catalogue: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.catalogue

cost: $(VENV)/.attnbook
	$(BIN)/python -m benchmarks.cost

time: $(VENV)/.attnbook
	env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks.times

sight: $(VENV)/.attnbook
	nice $(BIN)/python -m benchmarks.sight
	nice $(BIN)/python -m benchmarks.sight_bounds
	nice $(BIN)/python -m benchmarks.sight_checks
	$(BIN)/python -m benchmarks.evidence

bench: $(VENV)/.attnbook
	env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks.speed

pictures: $(VENV)/.attnbook
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.pictures
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.pictures_followup

serve: $(VENV)/.attnbook
	test -d _build/html || $(MAKE) book
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(VENV)/.attnbook
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# On top of the environment, for nobody else needs it.
$(VENV)/.mutation: tests/mutation/requirements.txt $(VENV)/.attnbook
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

mutation: $(VENV)/.mutation
	PYTHONPATH=tests nice $(BIN)/python -m mutation $(FILES)

links: book
	$(BIN)/python -m attnbook.links

pdf: book
	$(BIN)/python -m attnbook.paper

offline: book
	$(BIN)/python -m attnbook.offline

downloads: book
	$(BIN)/python -m attnbook.downloads

downloads-check: downloads
	DOWNLOADS_ALL=1 $(BIN)/python -m pytest -q --run-browser \
		tests/site/test_pdf.py tests/site/test_offline.py tests/site/test_archives.py

# One part alone: make test PARTS=unit
test: $(VENV)/.attnbook
	$(BIN)/python -m attnbook.testrun $(PARTS)

colab-check: book
	COLAB_ALL=1 $(BIN)/python -m pytest -q -m colab tests/site

clean:
	rm -rf _build build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
