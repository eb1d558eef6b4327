"""The part of a layer that is compiled on the machine it runs on, if there is a compiler.

Compiled once, in a second or two, and kept for later starts; without g++ an engine does the same
in torch, slower. The call releases the interpreter's lock and uses torch's own threads.
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
#: A compiler that has not answered by then is given up: a worker's start must not hang on it.
COMPILE_SECONDS = 60
DTYPES = (torch.float32, torch.bfloat16)


class CannotCompile(RuntimeError):
    """There is no such op on this machine; the text says why."""


class DecodeOp:
    """The compiled op; see the comment over `decode_layer` in its source."""

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
        rows: Tensor,
        places: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        heads: int,
        singles: int,
        scaling: float,
    ) -> Tensor:
        """Turn queries and keys by their places, store keys and values, and let singles look back.

        Args:
            qkv: ``(tokens, heads + 2 * kv_heads, width)``; its queries are turned where they are.
            cos: ``(tokens, width)``, like ``sin``.
            rows: ``(tokens,)`` int64: where each token's slots are, like ``places`` in them.
            keys: ``(rows, kv_heads, context, width)``, like ``values``; written.
            singles: how many tokens, the first ones, are their row's only new ones.

        Returns:
            ``(tokens, heads, width)``, of which the first ``singles`` are filled.
        """
        tokens, across, width = qkv.shape
        tensors = (qkv, cos, sin, rows, places, keys, values)
        assert all(tensor.is_contiguous() for tensor in tensors)
        assert {tensor.dtype for tensor in (qkv, cos, sin, keys, values)} == {qkv.dtype}
        out = qkv.new_empty((tokens, heads, width))
        self._call(
            qkv.dtype is torch.float32,
            tokens,
            singles,
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
    """Compile the op, or find it compiled; None, and a line in the log, where that can't be.

    Args:
        cache: the folder where it is kept, made if it is not there.
    """
    try:
        return DecodeOp(_compiled(cache))
    except (CannotCompile, OSError) as exc:
        log.info("decode attention is left to torch, which is slower: %s", exc)
        return None


def _compiled(cache: Path) -> Path:
    threads = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    if not threads.exists():
        raise CannotCompile("this torch does not bring the threads of GNU OpenMP")
    library = cache / f"decode_op-{_fingerprint()}.so"
    if library.exists():
        log.info("decode attention was compiled before")
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise CannotCompile("there is no g++")
    cache.mkdir(parents=True, exist_ok=True)
    # Workers may start side by side: each compiles its own, the last one stays.
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
        said = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
        raise CannotCompile(f"g++ failed: {said[0] if said else exc}") from exc
    finally:
        draft.unlink(missing_ok=True)
    log.info("decode attention compiled in %.1f s", time.monotonic() - start)
    return library


def _fingerprint() -> str:
    """Tell apart what may not be shared: another source, torch, or kind of processor."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    kind = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    told = [SOURCE.read_text(), *FLAGS, torch.__version__, platform.machine(), *kind]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
