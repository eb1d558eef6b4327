"""Start the engine `remote`: vLLM's servers have the weights, and the tokenizer is here.

Nothing that is imported here needs torch.
"""

import logging
from collections.abc import Callable
from typing import Any

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.checkpoint import find, read_json
from turnstream.workers.engines.generation_defaults import read_generation_defaults
from turnstream.workers.engines.loaded_model import ChoosePrompts, LoadedModel, own_template
from turnstream.workers.engines.remote_engine import RemoteEngine
from turnstream.workers.engines.tokenizer import load_tokenizer
from turnstream.workers.remote_settings import RemoteSettings

log = logging.getLogger(__name__)


def load_remote(
    settings: RemoteSettings,
    *,
    model: str,
    name: str,
    slots: int | None,
    context: int | None,
    after_step: Callable[[], None],
    lora_base: str = "",
    choose_prompts: ChoosePrompts = own_template,
) -> LoadedModel:
    """Read a model's tokenizer and start the engine; returns when a server can be used.

    Args:
        model: what `checkpoint.find` takes; weights are not needed.
        name: the model's name for clients.
        slots: how many turns run at once at all servers; None: as many as the settings allow.
        context: tokens of prompt and answer together; None: as many as the servers take.
        after_step: called on the engine's thread after each step.
        lora_base: where the tokenizer of a LoRA adapter is, if not in what its config names.
        choose_prompts: called before the engine starts, since a template may bring an EOS.

    Raises:
        CheckpointError: the tokenizer cannot be read, or no server can ever be used.
    """
    checkpoint = find(model, lora_base=lora_base, engine="remote")
    if checkpoint.gguf is not None:
        raise CheckpointError(
            f"model {name}: the engine remote reads the tokenizer from a folder, not from a GGUF"
            " file"
        )
    config = _config_of_text(read_json(checkpoint.folder / "config.json"))
    vocabulary = config.get("vocab_size")
    if not isinstance(vocabulary, int):
        raise CheckpointError(f"model {name}: its config.json has no vocab_size")
    defaults = read_generation_defaults(checkpoint)
    tokenizer = load_tokenizer(
        checkpoint.tokenizer_folder, size=vocabulary, eos_ids=defaults.eos_ids
    )
    prompts = choose_prompts(tokenizer, name=checkpoint.name, config=config)
    log.info("model %s: waiting for %s", name, ", ".join(settings.urls))
    engine = RemoteEngine(
        settings,
        name=name,
        vocabulary=vocabulary,
        eos_ids=tokenizer.eos_ids,
        after_step=after_step,
        slots=slots,
        context=context,
        longest=config.get("max_position_embeddings"),
        grammars=tokenizer.grammars(vocabulary),
    )
    log.info("model %s: %d turns at once, context %d", name, engine.capacity, engine.context)
    return LoadedModel(
        name=name,
        engine=engine,
        tokenizer=tokenizer,
        prompts=prompts,
        temperature=defaults.temperature,
        top_p=defaults.top_p,
    )


def _config_of_text(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config that is of the language model, where it has several."""
    part = config.get("text_config")
    return {**config, **part} if isinstance(part, dict) else config
