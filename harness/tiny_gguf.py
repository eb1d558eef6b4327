"""Writes the tiny Llama as GGUF, with tokenizer and template, as llama.cpp's converter does."""

from pathlib import Path

import gguf
import numpy as np
from sentencepiece import SentencePieceProcessor
from transformers import LlamaForCausalLM

#: A template that no other model here has.
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def write(
    file: Path,
    folder: Path,
    *,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    architecture: str = "llama",
) -> Path:
    """Write the model of a folder, its matrices in a GGUF type, and return the file."""
    model = LlamaForCausalLM.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, folder)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in model.state_dict().items():
        short = name.removesuffix(".weight").replace("model.layers.", "blk.")
        for theirs, ours in _NAMES.items():
            short = short.replace(theirs, ours)
        values = weight.float().numpy()
        if count := heads.get(short.rpartition(".")[2]):
            # llama.cpp turns neighbouring dimensions; transformers the two halves of a head.
            values = (
                values.reshape(count, 2, values.shape[0] // count // 2, -1)
                .swapaxes(1, 2)
                .reshape(values.shape)
            )
        stored = kind if values.ndim > 1 else gguf.GGMLQuantizationType.F32
        packed = gguf.quants.quantize(np.ascontiguousarray(values), stored)
        writer.add_tensor(f"{short}.weight", packed, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    pieces = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    ids = range(pieces.vocab_size())
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list([pieces.id_to_piece(id) for id in ids])
    writer.add_token_scores([pieces.get_score(id) for id in ids])
    writer.add_token_types(
        [
            kinds.UNKNOWN
            if pieces.is_unknown(id)
            else kinds.CONTROL
            if pieces.is_control(id)
            else kinds.BYTE
            if pieces.is_byte(id)
            else kinds.NORMAL
            for id in ids
        ]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
