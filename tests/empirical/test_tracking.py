"""Runs logged in TensorBoard and MLflow: read back, after a stop, after a failure, and without a package."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvq.__main__ import run
from pvq.empirical.compare import RUNS, compare
from pvq.empirical.comparison import comparison_from
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord, read_record
from pvq.empirical.tracker import TRACKERS, Subject
from pvq.empirical.tracking import ready_trackers, track
from pvq.empirical.train import Moment, train
from pvq.errors import MissingExtra, PvqError

mlflow = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")

RECIPE = Recipe(
    "tracked", "resnet-cifar[depth=8,width=2]", "bundled", epochs=3, batch_size=128, validation=128,
    learning_rate=0.05, threads=1, method="qat-lsq[norms=1]", budget=4.0,
)  # fmt: skip
BOTH = ("tensorboard", "mlflow[experiment=mine]")
CURVES = ("loss", "train_accuracy", "validation_accuracy", "learning_rate", "seconds")
RESULTS = ("final_accuracy", "prepared_accuracy", "spent_bits")
Points = dict[str, list[tuple[int, float]]]


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run without trackers."""
    folder = tmp_path_factory.mktemp("plain")
    train(RECIPE, folder)
    return folder


def tracked(folder: Path, **settings: Any) -> RunRecord:
    return train(RECIPE, folder, trackers=ready_trackers(BOTH, folder), **settings)


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()


def tensorboard_points(folder: Path) -> Points:
    found = events(folder)
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]
    }


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a reader of the MLflow store in a folder: its client and the runs of the experiment."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def read(folder: Path, experiment: str = "mine") -> tuple[Any, list[Any]]:
        client = mlflow.MlflowClient(tracking_uri=(folder / "mlflow").resolve().as_uri())
        found = client.get_experiment_by_name(experiment)
        return client, list(client.search_runs([found.experiment_id]))

    return read


def mlflow_points(client: Any, one: Any) -> Points:
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(one.info.run_id, name)]
        for name in one.data.metrics
    }


def demand_whole(points: Points, record: RunRecord) -> None:
    """Every epoch is there once, in order, with the record's numbers; so are the results."""
    for name in CURVES:
        expected = [(entry.epoch, getattr(entry, name)) for entry in record.epochs]
        assert [step for step, _ in points[name]] == [step for step, _ in expected]
        assert [value for _, value in points[name]] == pytest.approx([value for _, value in expected])
    for name in RESULTS:
        assert points[name] == [(3, pytest.approx(getattr(record, name)))]
    assert "test_accuracy" not in points  # the bundled images have no test split


def stop_at(epoch: int, step: int) -> Any:
    def stop(moment: Moment) -> None:
        if (moment.epoch, moment.step) == (epoch, step):
            raise KeyboardInterrupt

    return stop


def test_a_run_is_read_back_and_its_numbers_are_those_of_a_run_without_trackers(
    plain: Path, tmp_path: Path, store: Any
) -> None:
    record = tracked(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == (plain / "weights.safetensors").read_bytes()
    assert [e.numbers() for e in record.epochs] == [
        e.numbers() for e in read_record(plain / "record.json").epochs
    ]
    demand_whole(tensorboard_points(tmp_path), record)
    assert "recipe/text_summary" in events(tmp_path).Tags()["tensors"]
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(
        events(tmp_path).summary_metadata
    )
    client, (one,) = store(tmp_path)
    demand_whole(mlflow_points(client, one), record)
    expected = {name: str(value) for name, value in dataclasses.asdict(RECIPE).items()}
    expected |= {"mean": "0.4914, 0.4822, 0.4465", "std": "0.247, 0.2435, 0.2616", "recipe_hash": RECIPE.hash}
    assert one.data.params == expected
    assert (one.info.status, one.info.run_name) == ("FINISHED", "tracked")


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (3, 2)])
def test_a_stopped_run_goes_on_in_the_same_log(tmp_path: Path, store: Any, epoch: int, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        tracked(tmp_path, progress=stop_at(epoch, step))
    _, (stopped,) = store(tmp_path)
    assert stopped.info.status == "KILLED"
    record = tracked(tmp_path)
    demand_whole(tensorboard_points(tmp_path), record)
    client, (one,) = store(tmp_path)
    assert (one.info.run_id, one.info.status) == (stopped.info.run_id, "FINISHED")
    demand_whole(mlflow_points(client, one), record)


def test_epochs_that_were_done_before_are_filled_in_and_nothing_twice(tmp_path: Path, store: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, tmp_path, progress=stop_at(3, 1))  # two epochs, not logged
    record = tracked(tmp_path)
    tracked(tmp_path)  # a finished run is not logged again
    demand_whole(tensorboard_points(tmp_path), record)
    client, (one,) = store(tmp_path)
    demand_whole(mlflow_points(client, one), record)


def test_a_run_that_starts_afresh_has_a_log_of_its_own(tmp_path: Path, store: Any) -> None:
    tracked(tmp_path)
    record = tracked(tmp_path, resume=False)
    demand_whole(tensorboard_points(tmp_path), record)
    client, runs = store(tmp_path)
    assert len(runs) == 2
    for one in runs:
        assert [step for step, _ in mlflow_points(client, one)["loss"]] == [1, 2, 3]


def test_a_store_that_goes_away_is_told_once_and_loses_neither_run_nor_epochs(
    plain: Path, tmp_path: Path, store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, gone = tmp_path / "mlflow", tmp_path / "gone"

    def lose(moment: Moment) -> None:
        if moment.finished and moment.epoch == 1:
            whole.rename(gone)

    record = tracked(tmp_path, progress=lose)
    told = [line for line in capsys.readouterr().err.splitlines() if "mlflow" in line]
    assert len(told) == 1
    assert told[0].startswith("mlflow failed and is left out from here on, the run goes on: ")
    assert told[0].endswith("/mlflow' does not exist.")
    assert (tmp_path / "weights.safetensors").read_bytes() == (plain / "weights.safetensors").read_bytes()
    demand_whole(tensorboard_points(tmp_path), record)  # the other log is whole
    gone.rename(whole)
    tracked(tmp_path)
    client, (one,) = store(tmp_path)
    demand_whole(mlflow_points(client, one), record)


@TRACKERS.register("test-failing")
@dataclass(frozen=True)
class Failing:
    """Fails as soon as it is opened, or in its first epoch."""

    late: bool = False

    def check(self, store: Path) -> None:
        """Find no fault."""

    def open(self, subject: Subject) -> Failing:
        """Fail, or return itself."""
        if not self.late:
            raise ConnectionError("no server")
        return self

    def held(self) -> set[tuple[str, int]]:
        return set()

    def write(self, values: Mapping[str, float], step: int) -> None:
        raise ConnectionError(f"lost at {step}")

    def close(self, finished: bool) -> None:
        raise AssertionError("a log that failed is left alone")


@pytest.mark.parametrize("late", [False, True])
def test_any_failure_of_a_tracker_is_one_line(
    tmp_path: Path, late: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    record = train(RECIPE, tmp_path, trackers=[Failing(late)])
    assert len(record.epochs) == 3
    reason = "lost at 1" if late else "no server"
    told = f"test-failing failed and is left out from here on, the run goes on: ConnectionError: {reason}\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_trained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.tracking", None)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(json.loads(json.dumps(dataclasses.asdict(RECIPE)))))
    out = tmp_path / "out"
    assert run(["train", str(recipe), "-o", str(out), "--track", package]) == 1
    assert capsys.readouterr().err == f"pvq: {package} is not installed; run: pip install 'pvq[tracking]'\n"
    assert not out.exists()
    with (
        pytest.raises(MissingExtra),
        track([TRACKERS.build(package)], RECIPE, tmp_path, ()),
    ):
        pytest.fail("it went on without")


def test_a_server_that_does_not_answer_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=r"mlflow cannot use http://127.0.0.1:9: MlflowException: API request"):
        ready_trackers(["mlflow[uri=http://127.0.0.1:9]"], tmp_path)
    with pytest.raises(PvqError, match="unknown tracker 'tensorbord'; did you mean tensorboard"):
        ready_trackers(["tensorbord"], tmp_path)


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "central" / "mlflow").as_uri())
    train(dataclasses.replace(RECIPE, epochs=1), tmp_path / "run", trackers=[TRACKERS.build("mlflow")])
    _, (one,) = store(tmp_path / "central", "pvq")
    assert one.data.params["budget"] == "4.0"
    assert not (tmp_path / "run" / "mlflow").exists()


def test_all_runs_of_a_comparison_are_logged_those_done_before_as_well(tmp_path: Path, store: Any) -> None:
    base = {
        "model": "resnet-cifar[depth=8,width=2]", "dataset": "bundled", "epochs": 1, "batch_size": 128,
        "validation": 128,
    }  # fmt: skip
    settings = {"name": "two", "base": base, "methods": ["ptq", "none"], "budgets": [4]}
    compare(comparison_from(settings), tmp_path)
    compare(comparison_from(settings | {"seeds": [0, 1]}), tmp_path, trackers=BOTH)
    folders = [folder for folder in (tmp_path / RUNS).iterdir() if folder.is_dir()]
    _, runs = store(tmp_path)
    assert {one.data.params["recipe_hash"] for one in runs} == {folder.name for folder in folders}
    assert len(runs) == len(folders) == 4
    assert all("final_accuracy" in tensorboard_points(folder) for folder in folders)
