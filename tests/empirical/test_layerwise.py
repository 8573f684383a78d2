"""The bound run on a network of four layers, all rows: numbers, resuming, damage, odd layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_network as tiny
import torch
from pyarrow import parquet
from torch import nn

from pvq.empirical import run_folder
from pvq.empirical.effort import METHODS
from pvq.empirical.layerwise import BoundsRun, run_bounds
from pvq.empirical.plan import sample_rows, set_spec
from pvq.empirical.store import RecordStore
from pvq.empirical.tasks import Methods
from pvq.errors import PvqError
from pvq.progress import Outlook
from pvq.solvers.feasible import fit_set
from pvq.solvers.verify import verify_path

PUBLISHED = [
    "layer", "bits", "n", "rows", "rows_total", "quant_snr_at_most_db", "quant_snr_achieved_db",
    "prune_snr_at_most_db", "prune_snr_achieved_db", "verdict", "certified", "seconds",
]  # fmt: skip


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("seconds", "peak_mb")} for row in rows]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_bounds(tiny.run_of(folder))


def _count_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the labels of tasks that are solved from now on."""
    solved: list[str] = []
    original = run_folder.run_task

    def counted(task: Any, *grams: Any) -> Any:
        solved.append(task.label)
        return original(task, *grams)

    monkeypatch.setattr(run_folder, "run_task", counted)
    return solved


def test_every_layer_has_a_row_with_ordered_numbers(finished: tuple[Path, list[dict[str, Any]]]) -> None:
    _, rows = finished
    assert [row["layer"] for row in rows] == tiny.NAMES
    assert [(row["n"], row["rows"], row["rows_total"]) for row in rows] == [
        (18, 4, 4),
        (9, 4, 4),
        (4, 6, 6),
        (6, 3, 3),
    ]
    for row in rows:
        assert set(PUBLISHED) <= set(row)
        assert row["certified"], row
        assert row["quant_nearest_snr_db"] <= row["quant_snr_achieved_db"] <= row["quant_snr_at_most_db"]
        assert row["prune_magnitude_snr_db"] <= row["prune_snr_achieved_db"] <= row["prune_snr_at_most_db"]
        dead = "1 of 6 inputs always zero" if row["layer"] == "head" else ""
        assert row["note"] == dead


def test_the_tables_hold_the_rows_and_the_manifest_their_making(
    finished: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, rows = finished
    assert json.loads((folder / "run" / "bounds.json").read_text()) == rows
    assert parquet.read_table(folder / "run" / "bounds.parquet").to_pylist() == rows
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert manifest["model"] == "tiny"
    assert manifest["calibration"]["images"] == 64
    assert manifest["run"]["methods"]["quantize"]["bound"] == METHODS["quantize"].bound
    assert {"versions", "made", "git", "machine"} <= set(manifest)


def test_every_certificate_is_proved_again_from_its_file(
    finished: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, rows = finished
    proofs = verify_path(folder / "run" / "certificates")
    assert len(proofs) == 2 * sum(row["rows"] for row in rows)
    assert all(proof["accepted"] for proof in proofs)


@pytest.mark.parametrize("name", tiny.NAMES)
def test_the_snr_of_nearest_rounding_is_that_of_the_layers_output(
    name: str, finished: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Run the layer with rounded weights on the calibration images and measure its output, without bias."""
    folder, rows = finished
    net, seen = tiny.tiny_net(), []
    layer = net.get_submodule(name)
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with np.load(folder / "images.npz") as stored, torch.no_grad():
        net(torch.from_numpy(stored["images"]))
    layer.double().bias.data.zero_()
    weights = layer.weight.detach().numpy().reshape(len(layer.weight), -1)
    rounded = fit_set(set_spec(weights, 3, "quantize"), weights).nearest(weights.ravel())
    with torch.no_grad():
        before = layer(seen[0].double())
        layer.weight.data = torch.from_numpy(rounded.reshape(layer.weight.shape))
        noise = layer(seen[0].double()) - before
    snr = 10 * float(torch.log10(before.square().sum() / noise.square().sum()))
    row = next(row for row in rows if row["layer"] == name)
    assert row["quant_nearest_snr_db"] == pytest.approx(snr, abs=1e-6)


def test_a_second_run_solves_nothing_and_says_the_same(
    finished: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = finished
    solved = _count_runs(monkeypatch)
    assert run_bounds(tiny.run_of(folder)) == rows
    assert solved == []


def test_other_weights_images_widths_and_methods_are_other_tasks(
    finished: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    solved = _count_runs(monkeypatch)
    changed = tiny.tiny_net()
    changed.get_submodule("head").weight.data[0, 0] += 1e-3
    run_bounds(tiny.run_of(folder, changed))
    assert solved == ["head, 3 bits, quantize", "head, 3 bits, prune"]
    solved.clear()
    only = {"layers": "head"}
    run_bounds(tiny.run_of(folder, **only, seed=1))
    run_bounds(tiny.run_of(folder, **only, bits=(2.0,)))
    run_bounds(tiny.run_of(folder, **only, methods={"prune": Methods("perspective", ("obs",))}))
    assert len(solved) == 5


@pytest.mark.parametrize(
    "victim",
    [
        "tasks/*.json",
        "certificates/*.cert.npz",
        "certificates/*.points.npz",
        "certificates/gram-*.npz",
        "grams/*",
    ],
)
def test_damaged_files_are_made_again(victim: str, tmp_path: Path) -> None:
    settings = tiny.run_of(tmp_path, layers="head")
    rows = run_bounds(settings)
    for path in settings.out.glob(victim):
        path.write_bytes(path.read_bytes()[:-20])
    assert _timeless(run_bounds(settings)) == _timeless(rows)
    assert all(proof["accepted"] for proof in verify_path(settings.out / "certificates"))


def test_a_record_that_contradicts_itself_is_made_again(tmp_path: Path) -> None:
    settings = tiny.run_of(tmp_path, layers="head")
    rows = run_bounds(settings)
    store = RecordStore(settings.out / "tasks")
    for path in store.folder.iterdir():
        record = store.get(path.stem)
        assert record is not None
        record["rows"][0]["error_lower"] = 2 * record["rows"][0]["error_upper"]
        store.put(path.stem, record)
    assert _timeless(run_bounds(settings)) == _timeless(rows)


def test_an_interrupted_run_keeps_what_was_done(
    tmp_path: Path, finished: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = _count_runs(monkeypatch)

    def interrupt(done: int, total: int, label: str = "", outlook: Outlook | None = None) -> None:
        if label and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bounds(tiny.run_of(tmp_path), interrupt)
    assert len(solved) == 3
    assert _timeless(run_bounds(tiny.run_of(tmp_path))) == _timeless(finished[1])
    assert len(solved) == len(set(solved)) == 8
    assert len(list((tmp_path / "run" / "tasks").iterdir())) == 8


def test_fresh_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_bounds(tiny.run_of(tmp_path, layers="head"))
    solved = _count_runs(monkeypatch)
    run_bounds(tiny.run_of(tmp_path, layers="head", fresh=True))
    assert len(solved) == 2


def test_processes_give_the_same_rows_bit_for_bit(
    tmp_path: Path, finished: tuple[Path, list[dict[str, Any]]]
) -> None:
    steps: list[tuple[int, int]] = []
    settings = tiny.run_of(tmp_path, workers=2)
    rows = run_bounds(settings, lambda done, total, *_: steps.append((done, total)))
    assert _timeless(rows) == _timeless(finished[1])
    assert steps[-1] == (8, 8)


def test_a_failing_camp_is_a_note_and_the_others_finish(tmp_path: Path) -> None:
    methods = {"quantize": METHODS["quantize"], "prune": Methods("perspectve", ("magnitude",))}
    rows = run_bounds(tiny.run_of(tmp_path, methods=methods))
    for row in rows:
        assert row["prune_snr_achieved_db"] is None
        assert row["quant_snr_achieved_db"] < row["quant_snr_at_most_db"]
        assert row["verdict"] is None
        assert not row["certified"]
        assert "prune: UnknownName: unknown method 'perspectve'; did you mean perspective?" in row["note"]


def _odd_net() -> nn.Module:
    net = tiny.tiny_net()
    first, depthwise, point, head = (net.get_submodule(name) for name in tiny.NAMES)
    first.weight.data[1], first.bias.data[1] = 0, -1  # a dead input channel for the depthwise convolution
    depthwise.weight.data[2, 0, 1, 1] = float("nan")
    point.weight.data[:] = 0.25
    head.weight.data[:] = torch.eye(6)[:3]
    return net


def test_odd_layers_say_so_and_the_others_finish(tmp_path: Path) -> None:
    first, depthwise, point, head = run_bounds(tiny.run_of(tmp_path, _odd_net()))
    assert "set to zero" in first["note"]
    assert first["certified"]
    assert "1 of 36 weights are NaN or infinite" in depthwise["note"]
    assert depthwise["verdict"] is None
    assert depthwise["quant_snr_at_most_db"] is None
    assert "all weights equal 0.25" in point["note"]
    assert point["quant_snr_achieved_db"] > 200  # a constant lies on the grid that fits it
    assert head["prune_snr_at_most_db"] is not None
    table = json.loads((tmp_path / "run" / "bounds.json").read_text())
    assert [row["layer"] for row in table] == tiny.NAMES


def test_dead_inputs_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    net = tiny.tiny_net()
    net.get_submodule("first").weight.data[1], net.get_submodule("first").bias.data[1] = 0, -1
    row = next(row for row in run_bounds(tiny.run_of(tmp_path, net)) if row["layer"] == "depthwise")
    assert row["dead_inputs"] == 9
    assert "9 of 36 inputs of the layer always zero" in row["note"]
    assert "all inputs of a row were zero" in row["note"]
    assert row["certified"]
    assert row["quant_snr_achieved_db"] <= row["quant_snr_at_most_db"]


def test_a_zero_layer_and_an_unused_one_are_named(tmp_path: Path) -> None:
    net = tiny.tiny_net()
    net.get_submodule("point").weight.data.zero_()
    net.get_submodule("relu").register_module("idle", nn.Linear(2, 2))
    rows = {row["layer"]: row for row in run_bounds(tiny.run_of(tmp_path, net))}
    assert "all weights are zero" in rows["point"]["note"]
    assert "no convolution or matrix product" in rows["relu.idle"]["note"]
    assert rows["first"]["verdict"] is not None


def test_few_calibration_positions_are_remarked_and_part_bits_prune_only(tmp_path: Path) -> None:
    (row,) = run_bounds(
        tiny.run_of(tmp_path, layers="head", bits=(2.5,), calibration=tiny.images(tmp_path, 16))
    )
    assert "16 positions for 6 inputs: take more images" in row["note"]
    assert "quantize: an integer grid needs a whole number of bits, got 2.5" in row["note"]
    assert row["quant_snr_at_most_db"] is None
    assert row["prune_set"] == "sparse[k=1]"


def test_sampled_rows_depend_on_seed_and_layer_alone() -> None:
    chosen = sample_rows("conv1", 64, 4, 0)
    assert chosen == sample_rows("conv1", 64, 4, 0)
    assert len(set(chosen)) == 4
    assert len({chosen, sample_rows("conv1", 64, 4, 1), sample_rows("conv2", 64, 4, 0)}) == 3
    assert sample_rows("conv1", 3, 4, 0) == (0, 1, 2)


def _records(run: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the stored records by the camp's set and row."""
    found = {}
    for path in (run / "tasks").iterdir():
        record = json.loads(path.read_text())["record"]
        for row in record["rows"]:
            kept = {key: value for key, value in row.items() if key not in ("seconds", "peak_mb", "claim")}
            found[record["camp"], row["row"]] = kept
    return found


def test_sampled_rows_are_solved_as_in_the_full_run_and_counted(tmp_path: Path) -> None:
    (row,) = run_bounds(tiny.run_of(tmp_path / "some", layers="first", rows=2))
    run_bounds(tiny.run_of(tmp_path / "all", layers="first"))
    assert (row["rows"], row["rows_total"]) == (2, 4)
    some, whole = _records(tmp_path / "some" / "run"), _records(tmp_path / "all" / "run")
    assert {index for _, index in some} == set(sample_rows("first", 4, 2, 0))
    assert some == {key: whole[key] for key in some}


def test_a_row_left_out_still_sets_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid is the layer's: other weights elsewhere are another task for quantization, not for pruning."""
    run_bounds(tiny.run_of(tmp_path, layers="head", rows=1))
    (kept,) = sample_rows("head", 3, 1, 0)
    net = tiny.tiny_net()
    net.get_submodule("head").weight.data[(kept + 1) % 3] *= 2
    solved = _count_runs(monkeypatch)
    run_bounds(tiny.run_of(tmp_path, net, layers="head", rows=1))
    # the network as a whole is another one, so its Gram matrix is taken anew, and is the same
    assert solved == ["head, 3 bits, quantize"]


@pytest.mark.parametrize(
    ("changes", "demand"),
    [
        ({"bits": ()}, "bits must lie in"),
        ({"bits": (17.0,)}, r"bits must lie in \(0, 16\], got \[17.0\]"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], demand: str, tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=demand):
        BoundsRun("m", tmp_path, **changes)


def test_patterns_of_layers_are_alternatives_in_the_networks_order(tmp_path: Path) -> None:
    rows = run_bounds(tiny.run_of(tmp_path, layers="head, first"))
    assert [row["layer"] for row in rows] == ["first", "head"]


def test_batch_norm_is_folded_on_request_and_ties_are_remarked(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    net[1].running_var.mul_(4.0)  # type: ignore[operator, union-attr]
    net[3].weight = net[2].weight  # type: ignore[assignment]
    plain, folded = (
        run_bounds(tiny.run_of(tmp_path / str(fold), net.eval(), fold_bn=fold)) for fold in (False, True)
    )
    assert [row["layer"] for row in plain] == [row["layer"] for row in folded] == ["0", "2"]
    assert all("tied to 3" in rows[1]["note"] for rows in (plain, folded))
    ratio = folded[0]["quant_error_upper"] / plain[0]["quant_error_upper"]
    assert ratio == pytest.approx(1 / 4, rel=1e-3)  # the layer's weights halve
    manifest = json.loads((tmp_path / "True" / "run" / "manifest.json").read_text())
    assert manifest["run"]["fold_bn"]
    assert manifest["metadata"]["batch_norm_folded"] == ["1"]


def test_no_matching_layer_and_weights_without_network_are_refused(tmp_path: Path) -> None:
    for layers in ("heat", "first,heat"):
        with pytest.raises(PvqError, match="no layer of tiny matches 'heat'; did you mean head"):
            run_bounds(tiny.run_of(tmp_path, layers=layers))
    torch.save(tiny.tiny_net().state_dict(), tmp_path / "net.pt")
    with pytest.raises(PvqError, match=r"^weights only: file:"):
        run_bounds(BoundsRun(f"file:{tmp_path / 'net.pt'}", tmp_path / "run"))


def test_the_bundled_network_end_to_end(tmp_path: Path) -> None:
    """One layer, two rows: the demo in small."""
    bundled = Path(run_folder.__file__).parent / "bundled" / "resnet20_cifar10.safetensors"
    if not bundled.is_file():
        pytest.skip("data: the bundled network is not there")
    settings = BoundsRun(
        "resnet20-cifar10", tmp_path, layers="layer2.0.conv1", rows=2, calibration="bundled:64"
    )
    (row,) = run_bounds(settings)
    assert row["certified"]
    assert (row["n"], row["rows"], row["rows_total"]) == (144, 2, 32)
    assert all(proof["accepted"] for proof in verify_path(tmp_path / "certificates"))
