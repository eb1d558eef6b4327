"""Several LoRA adapters over one base, which one server has once; each model of ours names one."""

from itertools import chain
from pathlib import Path

from transformers import LlamaForCausalLM

from harness.vllm_server import VllmServer
from tests.vllm.test_formats import SIZES
from tests.workers.contract.asking import generated, greedy, prompts
from tests.workers.engines.test_lora import LAYERS, merged, write
from tests.workers.listener import Listener, start
from turnstream.workers.engines.load_remote import load_remote
from turnstream.workers.remote_settings import RemoteSettings

TOKENS = 20


def test_one_server_answers_turns_of_a_base_and_of_its_adapters(
    tiny_llama_folder: Path, reference: LlamaForCausalLM, tmp_path: Path
) -> None:
    poet = write(tmp_path / "poet", tiny_llama_folder, sizes=SIZES)
    critic = write(tmp_path / "critic", tiny_llama_folder, sizes={LAYERS[1]: SIZES[LAYERS[1]]})
    models = [reference, merged(tiny_llama_folder, poet), merged(tiny_llama_folder, critic)]
    for model in models:
        model.generation_config.eos_token_id = None
    server = VllmServer(
        tiny_llama_folder,
        *("--served-model-name", "base", "--enable-lora", "--max-loras", "2"),
        *("--lora-modules", f"poet={poet}", f"critic={critic}"),
        log=tmp_path / "log",
    )
    with server:
        engines = [
            load_remote(
                RemoteSettings(urls=(server.url,)),
                model=str(folder),
                name=folder.name,
                slots=4,
                context=128,
                after_step=lambda: None,
            ).engine
            for folder in (tiny_llama_folder, poet, critic)
        ]
        try:
            asked = prompts(3, seed=1)
            turns: list[list[Listener]] = []
            # vLLM's CPU build gives turns without an adapter that of a turn beside them.
            for together in (engines[:1], engines[1:]):
                turns += [[start(each, ids, greedy(TOKENS)) for ids in asked] for each in together]
                for turn in chain.from_iterable(turns):
                    turn.wait()
        finally:
            for engine in engines:
                engine.stop(0)

    spoken = [[generated(model, ids, TOKENS) for ids in asked] for model in models]
    # Up to the EOS of the tokenizer.
    expected = [[ids[: ids.index(2)] if 2 in ids else ids for ids in each] for each in spoken]
    assert [[turn.ids for turn in each] for each in turns] == expected
    assert expected[0] != expected[1] != expected[2]
