"""What is chosen for a GPU; the card itself is played."""

import pytest
import torch

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.device_choice import pick_device, pick_dtype
from turnstream.workers.engines.penalties import Penalties
from turnstream.workers.engines.prepared import choose_kernels
from turnstream.workers.engines.to_device import copy_event

CUDA = torch.device("cuda")
#: What torch's wheels for CUDA 13.0 are built for.
BUILT_FOR = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let torch see a GPU of some capability."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: BUILT_FOR)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: request.param)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some Card")


@pytest.mark.parametrize(
    ("card", "dtype"),
    [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)],
    indirect=["card"],
)
@pytest.mark.usefixtures("card")
def test_auto_is_float16_on_a_gpu_before_ampere(dtype: torch.dtype) -> None:
    assert pick_dtype("auto", pick_device("auto"), weight_bytes=1) is dtype


@pytest.mark.parametrize("card", [(7, 0)], indirect=True)
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
@pytest.mark.usefixtures("card")
def test_a_gpu_that_this_torch_has_no_code_for_is_refused(device: str) -> None:
    with pytest.raises(
        CheckpointError, match=r"Some Card has compute capability 7\.0, and torch .* needs 7\.5"
    ):
        pick_device(device)


def test_torchs_attention_is_kept_from_cudnn() -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    choose_kernels()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_the_host_sleeps_while_it_waits_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, bool]] = []

    class Event:
        def __init__(self, **how: bool) -> None:
            made.append(how)

        def record(self, stream: str) -> None:
            assert stream == "the stream"

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "the stream")
    assert copy_event(CUDA)
    assert made == [{"blocking": True}]
    assert copy_event(torch.device("cpu")) is None


def test_penalties_wait_for_nothing() -> None:
    # The device "meta" has no values, so an operation whose shape depends on them fails on it.
    sampling = SamplingParams(max_tokens=5, frequency_penalty=0.5, repetition_penalty=1.1)
    meta = torch.device("meta")
    made = Penalties(sampling, [1, 2, 2, 3], answer=2, vocabulary=8, device=meta)
    made.add(torch.empty(1, dtype=torch.int64, device=meta))
    made.apply(torch.empty(8, device=meta))
