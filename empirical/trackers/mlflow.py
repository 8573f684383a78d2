"""Runs in MLflow."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.empirical.executor import reason
from pvq.empirical.tracker import TRACKERS, Log, Subject
from pvq.errors import MissingExtra, PvqError

__all__ = ["Mlflow"]

FOLDER, IDS = "mlflow", "mlflow.json"  # the store, where no other is named; the run's number in each store
URI = "MLFLOW_TRACKING_URI"
DEFAULTS = {  # of MLflow's own settings, where the environment has none
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is gone must not hold up a run for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@TRACKERS.register("mlflow")
@dataclass(frozen=True)
class Mlflow:
    """A run of MLflow, on the server of MLFLOW_TRACKING_URI or in the run's own folder ``mlflow``.

    Parameters
    ----------
    experiment : that the run belongs to, made if need be
    uri : of the store, instead of the environment's: ``http://...``, ``file:///...``, ``sqlite:///...``
    """

    experiment: str = "pvq"
    uri: str = ""

    def __post_init__(self) -> None:
        if not self.experiment.strip():
            raise ValueError(f"experiment must have a name, got {self.experiment!r}")

    def check(self, store: Path) -> None:
        """See that the store answers, and make the experiment if need be.

        Raises
        ------
        MissingExtra : MLflow is not installed
        PvqError : the store cannot be used
        """
        try:
            with _defaults():
                self._experiment(_client(self._uri(store)))
        except MissingExtra:
            raise
        except Exception as error:  # MLflow's, of its transport, of its database
            raise PvqError(f"mlflow cannot use {_shown(self._uri(store))}: {reason(error)}") from error

    def open(self, subject: Subject) -> Log:
        """Open the run that ``mlflow.json`` names, or a new one that it then names.

        Raises
        ------
        MissingExtra : MLflow is not installed
        """
        with _defaults():
            client = _client(self._uri(subject.store))
            known = _read_ids(subject.folder)
            key = f"{_shown(self.uri or os.environ.get(URI) or FOLDER)}#{self.experiment}"
            held = _held(client, known.get(key, ""))
            if held is None or (subject.epochs == 0 and held):
                known[key] = self._begin(client, subject)
                write_text(subject.folder / IDS, json.dumps(known, indent=1) + "\n")
                held = frozenset()
            client.update_run(known[key], status="RUNNING")
            return _RunLog(client, known[key], held)

    def _uri(self, store: Path) -> str:
        return self.uri or os.environ.get(URI) or (store / FOLDER).resolve().as_uri()

    def _experiment(self, client: Any) -> str:
        """Return the number of the experiment."""
        found = client.get_experiment_by_name(self.experiment)
        number = found.experiment_id if found else client.create_experiment(self.experiment)
        return str(number)

    def _begin(self, client: Any, subject: Subject) -> str:
        """Return the number of a new run with the settings as its parameters."""
        from mlflow.entities import Param

        run = client.create_run(self._experiment(client), run_name=subject.name)
        number = str(run.info.run_id)
        parameters = [Param(name, str(value)) for name, value in subject.settings.items()]
        client.log_batch(number, params=parameters)
        return number


class _RunLog:
    """A run of MLflow that is written to."""

    def __init__(self, client: Any, number: str, held: frozenset[tuple[str, int]]) -> None:
        self._client, self._number, self._held = client, number, held

    def held(self) -> frozenset[tuple[str, int]]:
        """Return name and step of every metric that was there."""
        return self._held

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Add metrics."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        with _defaults():
            self._client.log_batch(self._number, metrics=metrics)

    def close(self, finished: bool) -> None:
        """Note how the run ended."""
        with _defaults():
            self._client.set_terminated(self._number, status="FINISHED" if finished else "KILLED")


@contextmanager
def _defaults() -> Iterator[None]:
    """Set what the environment leaves open of MLflow's settings, while the block runs."""
    missing = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _client(uri: str) -> Any:
    try:
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise MissingExtra("mlflow", "tracking") from error
    return MlflowClient(tracking_uri=uri)


def _shown(uri: str) -> str:
    """Return an address without the name and password that it may hold.

    >>> _shown("https://me:secret@host/path")
    'https://host/path'
    """
    return re.sub(r"//[^/@]*@", "//", uri)


def _held(client: Any, number: str) -> frozenset[tuple[str, int]] | None:
    """Return name and step of every metric of a run, None if there is no such run."""
    from mlflow.exceptions import MlflowException

    if not number:
        return None
    try:
        run = client.get_run(number)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if run.info.lifecycle_stage != "active":
        return None
    return frozenset(
        (name, metric.step) for name in run.data.metrics for metric in client.get_metric_history(number, name)
    )


def _read_ids(folder: Path) -> dict[str, str]:
    """Return the run's numbers by store and experiment; a damaged file counts as none."""
    try:
        return {str(key): str(value) for key, value in json.loads((folder / IDS).read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
