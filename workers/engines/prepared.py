"""Prepare a model for the slot engine: its attention, and on a CPU what makes it fast."""

import logging

from torch import nn
from transformers import LlamaForCausalLM

from turnstream.workers.engines import attention
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.fused_attention import fuse
from turnstream.workers.engines.packed_linear import pack

log = logging.getLogger(__name__)


def prepared(model: LlamaForCausalLM, decode_op: DecodeOp | None) -> LlamaForCausalLM:
    """Return the model after it was changed in place.

    Args:
        decode_op: compiled attention for a CPU; None uses torch.
    """
    if model.device.type == "cpu" and getattr(model, "hf_quantizer", None) is None:
        if decode_op and _fusable(model) and not fuse(model, decode_op):
            log.info("decode attention: torch is used; the op does not support this model")
        pack(model)
    attention.register(model)
    return model


def _fusable(model: LlamaForCausalLM) -> bool:
    """Return whether the attention's layers can be joined; quantised ones cannot."""
    return type(model.model.layers[0].self_attn.q_proj) is nn.Linear
