"""Prepare a model for the slot engine: its attention, and what makes it fast on its device."""

import logging

import torch
from torch import nn
from transformers import LlamaForCausalLM

from turnstream.workers.engines import attention
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.fused_attention import fuse
from turnstream.workers.engines.joined_layers import fuse_norms, join
from turnstream.workers.engines.packed_linear import pack

log = logging.getLogger(__name__)


def prepared(
    model: LlamaForCausalLM, decode_op: DecodeOp | None, *, joined: bool
) -> LlamaForCausalLM:
    """Return the model after it was changed in place.

    Args:
        decode_op: compiled attention for a CPU; None uses torch.
        joined: compute projections of a layer together; for a device on which launches cost time.
    """
    if joined or model.dtype is torch.float32:
        # In bfloat16 a CPU has no faster way for it.
        fuse_norms(model)
    if joined:
        join(model)
    if model.device.type == "cuda":
        choose_kernels()
    if model.device.type == "cpu" and getattr(model, "hf_quantizer", None) is None:
        if decode_op and _fusable(model) and not fuse(model, decode_op):
            log.info("decode attention: torch is used; the op does not support this model")
        pack(model)
    attention.register(model)
    return model


def choose_kernels() -> None:
    """Keep torch's attention from cuDNN, which makes a plan for each new length of a prompt.

    That takes about half a second, in which every turn waits.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def _fusable(model: LlamaForCausalLM) -> bool:
    """Return whether the attention's layers can be joined; quantised ones cannot."""
    return type(getattr(model.model.layers[0].self_attn, "q_proj", None)) is nn.Linear
