"""Engines whose kernels tell of every access to memory: to a sanitizer, or to a check of each step's tensors.

The calls are put into the optimised code that LLVM makes of the kernels, before each load and store, so
that what is checked is what engines do, on every instruction set. Sanitizers that compilers come with see
the C of the runtime alone.
"""

import re
import shutil
import subprocess
from pathlib import Path

from targets.runtime.preprocess import Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm import glue, link, machine_code
from targets.tvm.addresses import Addresses, lifetimes
from targets.tvm.engine_file import FOOTER, MAGIC
from targets.tvm.floats.float_code import llvm_ir
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from targets.tvm.link import NATIVE
from targets.tvm.lower import Lowering, lower
from targets.tvm.program import Program

HERE = Path(__file__).parent
COMPILER = shutil.which("gcc") or shutil.which("clang")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "ptr": 64}
_TYPE = r"(?:<(?P<lanes>\d+) x )?(?P<one>i\d+|half|bfloat|float|double|ptr)>?"
_VALUE = r"(?:[%@][\w.$-]+|<[^>]*>|splat \([^)]*\)|[\w.+-]+)"
_ALIGNED = r"(?:align \d+ )?"
_LOAD = re.compile(rf"= load {_TYPE}, ptr (?P<at>[%@][\w.$-]+),")
_STORE = re.compile(rf"store {_TYPE} {_VALUE}, ptr (?P<at>[%@][\w.$-]+),")
_COPY = re.compile(
    r"@llvm\.mem(?:cpy|move)\S+?\(ptr [^%]*(?P<to>%[\w.$-]+), "
    r"ptr [^%@]*(?P<at>[%@][\w.$-]+), i64 (?P<size>[^,]+),"
)
_SET = re.compile(r"@llvm\.memset\S+?\(ptr [^%]*(?P<to>%[\w.$-]+), i8 [^,]+, i64 (?P<size>[^,]+),")
_TOUCHES = re.compile(r"(= load |^ *store |= (atomicrmw|cmpxchg)|@llvm\.(mem|masked))")
_CLAIMS = re.compile(
    r"memory\([^()]*(?:\([^()]*\))?[^()]*\)|\b(readonly|writeonly|readnone|noalias|nosync|speculatable)\b"
)


def telling(code: str) -> str:
    """LLVM's code with a call before each access. Raises ValueError for one that is not known here."""
    lines = []
    for line in code.splitlines():
        if not line.startswith("declare") and _TOUCHES.search(line):
            lines += _calls(line)
        claims = line.startswith(("define", "attributes"))  # that functions touch nothing but their arguments
        lines.append(_CLAIMS.sub("", line) if claims else line)
    return "\n".join([*lines, "declare void @told_read(ptr, i64)", "declare void @told_write(ptr, i64)", ""])


def _calls(line: str) -> list[str]:
    if found := _LOAD.search(line):
        return [_call("read", found["at"], _bytes(found))]
    if found := _STORE.search(line):
        return [_call("write", found["at"], _bytes(found))]
    if found := _COPY.search(line):
        return [_call("read", found["at"], found["size"]), _call("write", found["to"], found["size"])]
    if found := _SET.search(line):
        return [_call("write", found["to"], found["size"])]
    raise ValueError(f"an access that nobody would be told of: {line.strip()}")


def _call(what: str, at: str, size: int | str) -> str:
    return f"  call void @told_{what}(ptr {at}, i64 {size})"


def _bytes(found: re.Match[str]) -> int:
    one = found["one"]
    return -(-int(found["lanes"] or 1) * _BITS.get(one, 0 if not one[1:].isdigit() else int(one[1:])) // 8)


def compile_told(code: str, isa: Isa, output: Path) -> None:
    """Compile LLVM's code with the calls, and change nothing else about it."""
    source = output.with_suffix(".ll")
    source.write_text(telling(code))
    machine, cpu = isa.triple.split("-")[0], isa.cpu.replace("-", "_")
    quiet = ["-Wno-override-module", "-Wno-unused-command-line-argument"]
    as_it_is = ["-O1", "-Xclang", "-disable-llvm-passes", "-ffp-contract=off"]
    options = ["-target", f"{machine}-linux-musl", f"-mcpu={cpu}", "-fPIC", *as_it_is, *quiet]
    done = run_zig([*options, "-c"], [source], output)
    assert done.returncode == 0, done.stderr[-3000:]


def told_objects(program: Program, folder: Path) -> list[Path]:
    """All the code of a program that is not the C of the runtime."""
    names = glue.kernel_names(program)
    kernels = machine_code.optimised([kernel.function(name) for kernel, name in names.items()], program.isa)
    codes = {"kernels.o": kernels}
    if program.floats:
        codes["floats.o"] = llvm_ir(program.floats, program.isa)
    for name, code in codes.items():
        compile_told(code, program.isa, folder / name)
    return [folder / name for name in codes]


def sanitized(program: Program, sanitizer: str, folder: Path) -> Path:
    """Write an engine whose program is under a sanitizer, which kernels tell of their accesses.

    All its threads have a part in every inference, however busy the machine is.
    """
    table, pictures, linked = (folder / name for name in ("table.c", "pictures.c", "linked"))
    table.write_text(glue.source(program))
    pictures.write_text(glue.fitting_source(Preprocessing(*program.image)))
    native = [NATIVE / name for name in ("main.c", *link.ENGINE, *link.PICTURES)]
    options = ["-g", "-O1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-pthread", f"-I{NATIVE}"]
    options.append("-Wl,--wrap=edgec_workers_awake")
    sources = [table, pictures, HERE / "told_sanitizer.c", *native, *told_objects(program, folder)]
    subprocess.run([str(COMPILER), *options, *map(str, sources), "-o", str(linked)], check=True)
    content = linked.read_bytes()
    at = -(-len(content) // 64) * 64
    numbers = (len(content), at, 0, at, len(program.constants), at, 0, at, 0)
    engine = folder / "engine"
    engine.write_bytes(content.ljust(at, b"\0") + program.constants + FOOTER.pack(*numbers, MAGIC))
    engine.chmod(0o755)
    return engine


def bounded(graph: IntegerGraph, isa: Isa, folder: Path, less: int = 0) -> Path:
    """A program of an engine's steps, each of which ends it if it touches what belongs to other steps.

    Takes the path of the constants and images on stdin, gives logits. `less`: bytes that
    tensors are said to be shorter than they are.
    """
    program = lower(graph, isa)
    (folder / "constants").write_bytes(program.constants)
    (folder / "table.c").write_text(glue.source(program) + _spans(graph, isa, less))
    sources = [folder / "table.c", HERE / "step_bounds.c", NATIVE / "workers.c"]
    objects = told_objects(program, folder)
    machine = isa.triple.split("-")[0]
    options = ["-target", f"{machine}-linux-musl", *link.STATIC, "-pthread", f"-I{NATIVE}"]
    linked = run_zig(options, [*sources, *objects], folder / "bounded")
    assert linked.returncode == 0, linked.stderr
    return folder / "bounded"


def _spans(graph: IntegerGraph, isa: Isa, less: int) -> str:
    """C: which parts of the arena the steps of each operator may read, and which they may write."""
    place = Addresses(graph, isa)
    lowering, rows, step = Lowering(place, graph), [], 0
    lives = lifetimes(graph, place.layouts, place.convolutions)
    tensors = [(life, place.arena.offsets[life.name]) for life in lives]
    for position, op in enumerate(graph.operators):
        read = {tensor.name for tensor in op.inputs}
        mine = [
            f"{begin}, {begin + life.size - less}, {int(life.first == position)}"
            for life, begin in tensors
            if life.first == position or life.name in read
        ]
        count = len(list(lowering.steps(op)))
        rows += [f"{{{n}, {one}}}" for n in range(step, step + count) for one in mine]
        step += count
    table = ", ".join([*rows, "{-1, 0, 0, 0}"])
    return f"const struct {{ int64_t step, begin, end; int writes; }} may_touch[] = {{{table}}};\n"
