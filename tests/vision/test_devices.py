"""Devices: one default for Python and the shell, and a card that is not there is one error, before any work."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

import hea_vision as hv
from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.devices import DEFAULT_DEVICE, checked_device
from hea_vision.jobs import SegmentJob, TrainSegmenterJob, TrainStrokesJob, TrainXrdJob

from .drawn_pictures import write_picture
from .test_cli import hea
from .tiny_networks import cloudy, save_tiny, tiny_segmenter

no_card = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny(tmp_path_factory.mktemp("models") / "tiny", tiny_segmenter(1)))


def test_python_and_the_shell_have_one_default() -> None:
    defaults = {
        job.model_fields["device"].default for job in (SegmentJob, TrainSegmenterJob, TrainStrokesJob, TrainXrdJob)
    }
    assert defaults == {DEFAULT_DEVICE} == {inspect.signature(hv.segment).parameters["device"].default}


@no_card
def test_the_default_is_the_processor_where_no_card_is(model: str) -> None:
    micrograph = Micrograph(image=cloudy())
    first, second = hv.segment(micrograph, model), hv.segment(micrograph, model, device="cpu")
    assert checked_device(DEFAULT_DEVICE) == "cpu"
    assert (first.probabilities == second.probabilities).all()


@no_card
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_card_that_is_not_there_is_told_once_and_before_any_work(tmp_path: Path, model: str, workers: str) -> None:
    for number in range(3):
        write_picture(tmp_path / f"in/{number}.tif", number)
    words = ("segment", "in", "--model", model, "--device", "cuda", "--workers", workers, "--out", "out")
    run = hea(*words, cwd=tmp_path)
    assert run.returncode == 2 and len(run.stderr.strip().splitlines()) == 1 and "no CUDA card" in run.stderr
    assert not (tmp_path / "out").exists()


def test_numbers_of_cards_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert checked_device("auto") == "cuda" and checked_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="torch sees 2 of them"):
        checked_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu7", "CUDA", "cuda:", "cuda:-1", "", "cpu:0"])
def test_other_names_are_refused_everywhere(name: str, model: str) -> None:
    for call in (checked_device, lambda n: SegmentJob(model=model, device=n)):
        with pytest.raises(ValueError, match="wanted auto, cpu, cuda"):
            call(name)
    for segmenter in (model, "classical"):
        with pytest.raises(InputError, match="wanted auto, cpu, cuda"):
            hv.segment(Micrograph(image=cloudy()), segmenter, device=name)
