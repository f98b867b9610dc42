# Every target sets up what it needs: Python 3.11 or newer (with venv and pip) and make are enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-bench

.PHONY: book test coverage lab app bench notebooks notebooks-bundle pdf zip lock supply clean

book: $(READY)  ## execute every chapter and build the pages
	@rm -rf _build/html _build/.doctrees
	$(BIN)/jupyter-book build . -W -n --keep-going

test: $(READY)  ## style, the book, the tests, and the stored outputs of every chapter
	$(BIN)/ruff check .
	$(MAKE) book
	$(BIN)/python -m pytest -n 2 --dist loadfile tests --nbval chapters

coverage: book  ## lines and branches of the package that the tests reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile tests
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered --fail-under=97

pdf: $(READY)  ## the whole book as _build/book.pdf (needs a browser)
	@rm -rf _build/singlehtml _build/.doctrees
	$(BIN)/jupyter-book build . --builder singlehtml -W -n --keep-going
	$(BIN)/python book/pdf.py

zip: book  ## the pages as _build/book.zip, which opens from any disk
	cp _build/html/downloads/cait-pages.zip _build/book.zip

notebooks-bundle: $(READY)  ## copies of the chapters in lab/, which any notebook viewer shows
	$(BIN)/python book/export.py

lab: notebooks-bundle  ## read and change them live; the extension for the book's markup stays off
	JUPYTER_CONFIG_PATH=$(CURDIR)/book/jupyter $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/lab/README.md

app: $(READY)  ## the form for your own profiles, as a page of this machine's browser
	JUPYTER_PATH=book $(BIN)/voila book/workbench.ipynb $(APP)

# On this machine only, with a token. The extension of JupyterLab for MyST is not for this page.
APP := --template=cait --token --Voila.ip=127.0.0.1 \
  --VoilaConfiguration.extension_denylist="['jupyterlab-myst']"

bench: $(PEERS)/.ready  ## timings side by side with other codes, in an environment of their own
	$(PEERS)/bin/python benchmarks/run.py $(BENCH)

notebooks: $(READY)  ## execute the chapters again and store their text outputs
	$(BIN)/python book/slim.py

LOCK := --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-emit-find-links --quiet

lock:  ## resolve both lock files again (needs uv)
	uv pip compile pyproject.toml --extra test $(LOCK) -o requirements.lock
	uv pip compile pyproject.toml --extra bench -c requirements.lock $(LOCK) -o benchmarks/requirements.lock

supply: $(READY)  ## bill of materials, citation file, every extra installed alone (needs uv)
	uvx --from cyclonedx-bom==7.* cyclonedx-py environment $(BIN)/python \
	  --pyproject pyproject.toml --spec-version 1.6 --output-file _build/bill.json
	uvx cffconvert==2.* --validate --infile CITATION.cff
	for extra in excel app book test bench; do \
	  uv run --quiet --isolated --no-project --with ".[$$extra]" \
	    python -P -c "import cait_helpers as cait; cait.fit_landscape; print('$$extra')" || exit 1; \
	done

clean:
	rm -rf _build

$(READY): requirements.lock pyproject.toml
$(PEERS)/.ready: benchmarks/requirements.lock pyproject.toml
$(READY) $(PEERS)/.ready:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(@D) (once, about a minute) ..."
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
