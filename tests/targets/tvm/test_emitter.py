"""What kernels are written with."""

import re

import pytest

from targets.tvm.isa import ISAS, Isa
from targets.tvm.kernels.emitter import Emitter
from targets.tvm.machine_code import optimised


@pytest.mark.parametrize("isa", ISAS.values(), ids=list(ISAS))
def test_memory_on_the_stack_begins_with_a_cache_line(isa: Isa) -> None:
    """LLVM's name of memory aligned to 16 bytes stands only where the aligned address is made."""
    k = Emitter(isa.stored)
    memory = k.local(100, "int16")
    with k.items() as item:
        k.store(memory, item, k.load(k.ints, item).astype("int16"))
    with k.items() as item:
        k.store(k.y, item, k.load(memory, 99 - item).astype(isa.stored))
    text = optimised([k.function("f")], isa)
    ((name, size),) = re.findall(r"(%\S+) = alloca \[(\d+) x i16\], align 16", text)
    assert int(size) == 100 + 64 // 2
    (end,) = re.findall(rf"(%\S+) = getelementptr .*ptr {re.escape(name)}, i64 64\b", text)
    assert re.search(rf"call align 64 ptr @llvm\.ptrmask\.p0\.i64\(ptr .*{re.escape(end)}, i64 -64\)", text)
    others = [
        line for line in text.splitlines() if re.search(rf"{re.escape(name)}\b", line) and "#dbg" not in line
    ]
    assert len(others) == 2
