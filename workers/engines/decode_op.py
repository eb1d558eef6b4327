"""The decode attention of a layer as a C++ op, compiled on the machine that runs it.

It is compiled once, in a second or two, and cached for later starts. Without g++ torch does the
same, slower. The call releases the interpreter's lock and uses torch's OpenMP threads.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import torch
from torch import Tensor

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
#: The compiler is killed after this time, so that it cannot block the start of a worker.
COMPILE_SECONDS = 60
DTYPES = (torch.float32, torch.bfloat16)


class CannotCompile(RuntimeError):
    """The op cannot be compiled on this machine; the text says why."""


class DecodeOp:
    """The compiled op; see the comment at `decode_layer` in its source."""

    def __init__(self, library: Path) -> None:
        self._call = ctypes.CDLL(str(library)).decode_layer
        size, pointer = ctypes.c_int64, ctypes.c_void_p
        self._call.argtypes = (
            [ctypes.c_int, *[size] * 6, *[pointer] * 8, ctypes.c_float, ctypes.c_int]
        )  # fmt: skip
        self._call.restype = None

    def __call__(
        self,
        qkv: Tensor,
        cos: Tensor,
        sin: Tensor,
        slots: Tensor,
        positions: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        heads: int,
        decode_tokens: int,
        scaling: float,
    ) -> Tensor:
        """Apply rotary embeddings, store keys and values, and attend from the decode tokens.

        Args:
            qkv: ``(tokens, heads + 2 * kv_heads, width)``; its queries are rotated in place.
            cos: ``(tokens, width)``, like ``sin``.
            slots: ``(tokens,)`` int64: the slot of each token, like ``positions`` in it.
            keys: ``(slots, kv_heads, context, width)``, like ``values``; written.
            decode_tokens: how many tokens, the first ones, are the only new one of their slot.

        Returns:
            ``(tokens, heads, width)``, of which the first ``decode_tokens`` are filled.
        """
        tokens, across, width = qkv.shape
        tensors = (qkv, cos, sin, slots, positions, keys, values)
        assert all(tensor.is_contiguous() for tensor in tensors)
        assert {tensor.dtype for tensor in (qkv, cos, sin, keys, values)} == {qkv.dtype}
        out = qkv.new_empty((tokens, heads, width))
        self._call(
            qkv.dtype is torch.float32,
            tokens,
            decode_tokens,
            heads,
            (across - heads) // 2,
            width,
            keys.shape[2],
            *(tensor.data_ptr() for tensor in (*tensors, out)),
            scaling,
            torch.get_num_threads(),
        )
        return out


def load_decode_op(cache: Path) -> DecodeOp | None:
    """Return the op, compiled now or before; None, with a log line, where that is impossible.

    Args:
        cache: the folder of compiled ops; created if missing.
    """
    try:
        return DecodeOp(_compiled(cache))
    except (CannotCompile, OSError) as exc:
        log.info("decode attention: torch is used, which is slower: %s", exc)
        return None


def _compiled(cache: Path) -> Path:
    threads = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    if not threads.exists():
        raise CannotCompile("this torch does not include GNU OpenMP (libgomp)")
    library = cache / f"decode_op-{_fingerprint()}.so"
    if library.exists():
        log.info("decode attention: compiled op found in the cache")
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise CannotCompile("g++ is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    # Workers may start at the same time: each compiles its own file and renames it.
    draft = library.with_suffix(f".{os.getpid()}.so")
    start = time.monotonic()
    try:
        subprocess.run(
            [compiler, *FLAGS, str(SOURCE), str(threads), "-o", str(draft)],
            check=True,
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS,
        )
        draft.replace(library)
    except subprocess.SubprocessError as exc:
        output = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
        raise CannotCompile(f"g++ failed: {output[0] if output else exc}") from exc
    finally:
        draft.unlink(missing_ok=True)
    log.info("decode attention: compiled in %.1f s", time.monotonic() - start)
    return library


def _fingerprint() -> str:
    """Return a hash of the source, the flags, the torch version and the kind of processor."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    kind = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    parts = [SOURCE.read_text(), *FLAGS, torch.__version__, platform.machine(), *kind]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
