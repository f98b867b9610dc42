"""Compile the package's own kernels to WebAssembly, for the pages: numba's LLVM code, no linker.

numba compiles each of `doors.DOORS` without optimisation and with everything that it calls; LLVM
has a target wasm32, and llvmlite brings it along. What LLVM emits is an object file; its
provisional addresses make it a module as soon as it says what it exports. A function of numba's
runtime or of Python that is neither replaced in `RUNTIME` nor known to be unreachable stops the
build.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_KERNELS = ("compiled.py", "elementary.py", "kernels.py", "reading.py")
SOURCES = (
    *(ROOT / "cait_helpers" / name for name in _KERNELS),
    *(ROOT / "book" / name for name in ("doors.py", "wasm.py")),
)
#: Code for one kind of machine whose optimiser has not been at work: that is left to wasm's.
PLAIN = {
    "NUMBA_OPT": "0",
    "NUMBA_LOOP_VECTORIZE": "0",
    "NUMBA_SLP_VECTORIZE": "0",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
}
TRIPLE = "wasm32-unknown-unknown"
STACK = 1 << 16  # bytes: constants lie below, the stack grows down to them

# In place of numba's runtime: an arena from which nothing is freed until the caller sets ``top``
# back. Sizes of arrays are small numbers, so their product needs no 128 bits; arrays are
# contiguous, and the only reshape is to one dimension.
RUNTIME = """
@top = internal global ptr null
declare void @llvm.trap()
declare i32 @llvm.wasm.memory.size.i32(i32)
declare double @llvm.sqrt.f64(double)
declare double @llvm.floor.f64(double)
define ptr @allocate(i32 %bytes) {
  %here = load ptr, ptr @top
  %more = add i32 %bytes, 15
  %whole = and i32 %more, -16
  %next = getelementptr i8, ptr %here, i32 %whole
  %end = ptrtoint ptr %next to i32
  %pages = call i32 @llvm.wasm.memory.size.i32(i32 0)
  %size = shl i32 %pages, 16
  %full = icmp ugt i32 %end, %size
  br i1 %full, label %bad, label %good
bad:
  call void @llvm.trap()
  unreachable
good:
  store ptr %next, ptr @top
  ret ptr %here
}
define void @release(ptr %to) {
  store ptr %to, ptr @top
  ret void
}
define { i64, i1 } @product(i64 %a, i64 %b) alwaysinline {
  %c = mul i64 %a, %b
  %either = or i64 %a, %b
  %large = icmp ugt i64 %either, 2147483647
  %first = insertvalue { i64, i1 } poison, i64 %c, 0
  %both = insertvalue { i64, i1 } %first, i1 %large, 1
  ret { i64, i1 } %both
}
define double @sqrt(double %x) alwaysinline {
  %y = call double @llvm.sqrt.f64(double %x)
  ret double %y
}
define double @floor(double %x) alwaysinline {
  %y = call double @llvm.floor.f64(double %x)
  ret double %y
}
define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) noinline {
  %bytes = trunc i64 %size to i32
  %more = add i32 %bytes, 48
  %info = call ptr @allocate(i32 %more)
  %data = getelementptr i8, ptr %info, i32 48
  %field = getelementptr {i64, ptr, ptr, ptr, i64}, ptr %info, i32 0, i32 3
  store ptr %data, ptr %field
  ret ptr %info
}
define void @NRT_incref(ptr %m) alwaysinline { ret void }
define void @NRT_decref(ptr %m) alwaysinline { ret void }
define i32 @numba_attempt_nocopy_reshape(i64 %nd, ptr %dims, ptr %strides, i64 %newnd,
    ptr %newdims, ptr %newstrides, i64 %item, i32 %forder) alwaysinline {
  %one = icmp eq i64 %newnd, 1
  br i1 %one, label %good, label %bad
bad:
  call void @llvm.trap()
  unreachable
good:
  store i64 %item, ptr %newstrides
  ret i32 1
}
"""

#: What numba calls to put the text of an exception together and to raise it. A page has nothing
#: that would catch it: it traps.
UNREACHABLE = {
    "NRT_Allocate", "NRT_Free", "NRT_MemInfo_alloc", "NRT_MemInfo_new_varsize_dtor",
    "NRT_MemInfo_varsize_realloc", "PyErr_SetString",
}  # fmt: skip
IMPORTS = {"__linear_memory", "__stack_pointer", "__indirect_function_table"}


def fingerprint() -> str:
    """What the module depends on, as a short name: it is built again when this changes."""
    found = hashlib.sha256(f"{version('numba')} {version('llvmlite')}".encode())
    for path in SOURCES:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def built(folder: Path = ROOT / "_build" / "wasm") -> bytes:
    """Return the module, compiled in a process of its own unless it has been compiled before."""
    target = folder / f"{fingerprint()}.wasm"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as cache:
            subprocess.run(
                [sys.executable, str(Path(__file__)), str(target)],
                env=os.environ | PLAIN | {"NUMBA_CACHE_DIR": cache},
                cwd=ROOT,
                check=True,
            )
    return target.read_bytes()


def compiled_doors() -> dict[str, tuple[str, str]]:
    """Name of each door -> its symbol, and the LLVM code of it and all that it calls."""
    import numba
    from doors import DOORS

    warnings.filterwarnings("ignore", message="Cannot cache")  # of code that raises; once is enough
    found = {}
    for name, (door, arguments) in DOORS.items():
        jitted = numba.njit(
            numba.types.void(*arguments), nogil=True, error_model="numpy",
            no_cpython_wrapper=True, no_cfunc_wrapper=True,
        )(door)  # fmt: skip
        (overload,) = jitted.overloads.values()
        found[name] = overload.fndesc.mangled_name, overload.library.get_llvm_str()
    return found


def retargeted(code: str, layout: str) -> str:
    """LLVM code for another machine: the kernels ask for no more than 32 bits of an address."""
    code = re.sub(r'target (triple|datalayout) = ".*"\n', "", code)
    code = code.replace("@llvm.smul.with.overflow.i64(", "@product(")
    return f'target datalayout = "{layout}"\ntarget triple = "{TRIPLE}"\n{code}'


def close(module, exports: list[str]) -> None:
    """Keep all but the exports to the module itself, so that what nobody calls can go."""
    for part in (*module.functions, *module.global_variables):
        if not part.is_declaration and part.name not in exports:
            part.linkage = "internal"
    module.verify()


def stubs(module) -> str:
    """Code that traps where the module would raise; what else is left open stops the build."""
    code, unknown = ["declare void @llvm.trap()"], []
    for function in module.functions:
        if not function.is_declaration or function.name.startswith("llvm."):
            continue
        if function.name in UNREACHABLE:
            head = re.search(r"^declare (.*?)( #\d+)?$", str(function), re.MULTILINE)[1]
            code.append(f"define {head} {{\n call void @llvm.trap()\n unreachable\n}}")
        else:
            unknown.append(function.name)
    if unknown:
        raise SystemExit(f"the kernels call what no page has: {', '.join(sorted(unknown))}")
    return "\n".join(code)


def compile_module() -> bytes:
    """The doors and their kernels, optimised, as a WebAssembly module."""
    doors = compiled_doors()
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu="generic", features="", opt=3, reloc="static", codemodel="default"
    )
    layout = str(machine.target_data)
    module = llvm.parse_assembly(retargeted(RUNTIME, layout))
    for name, (symbol, code) in doors.items():
        module.link_in(llvm.parse_assembly(retargeted(code, layout)))
        module.get_function(symbol).name = f"door_{name}"
    exports = [*(f"door_{name}" for name in doors), "allocate", "release"]
    close(module, exports)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    module.link_in(llvm.parse_assembly(retargeted(stubs(module), layout)))
    close(module, exports)
    passes.getModulePassManager().run(module, passes)
    return loadable(machine.emit_object(module), exports)


# --- the binary format (https://webassembly.github.io/spec, and LLVM's "linking" section) ---

CUSTOM, IMPORT, EXPORT = 0, 2, 7


def number(value: int) -> bytes:
    """An unsigned integer, seven bits a byte, the lowest first (LEB128)."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


class Bytes:
    """A reader that walks through a module."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            value |= (byte & 127) << shift
            self.at, shift = self.at + 1, shift + 7
            if byte < 128:
                return value

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def name(self) -> str:
        return self.take(self.number()).decode()


def sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    reader = Bytes(data)
    if reader.take(8) != b"\0asm\1\0\0\0":
        raise ValueError("this is no WebAssembly module")
    while reader:
        kind = reader.number()
        yield kind, reader.take(reader.number())


def imported(data: bytes) -> list[str]:
    """Names of what a module imports."""
    names = []
    for kind, body in sections(data):
        reader = Bytes(body)
        for _ in range(reader.number() if kind == IMPORT else 0):
            reader.name()
            names.append(reader.name())
            what = reader.number()
            if what in (1, 3):  # a table, or a global: its type first
                reader.number()
            if what in (1, 2):  # limits
                bounded = reader.number()
                reader.number()
                if bounded & 1:
                    reader.number()
            else:
                reader.number()
    return names


def function_numbers(linking: bytes) -> dict[str, int]:
    """Name of each function that the symbol table of an object file defines -> its number."""
    reader, found = Bytes(linking), {}
    reader.name()
    if reader.number() != 2:
        raise ValueError("the object file links in a way that is not known here")
    while reader:
        kind, part = reader.number(), Bytes(reader.take(reader.number()))
        for _ in range(part.number() if kind == 8 else 0):
            what, flags = part.number(), part.number()
            undefined = flags & 0x10
            if what in (0, 2, 4, 5):  # function, global, tag, table
                index = part.number()
                if not undefined or flags & 0x40:
                    name = part.name()
                    if what == 0 and not undefined:
                        found[name] = index
            elif what == 1:  # data
                part.name()
                for _ in range(0 if undefined else 3):
                    part.number()
            else:  # section
                part.number()
    return found


def loadable(object_file: bytes, exports: list[str]) -> bytes:
    """A module of an object file: ``exports`` declared, the data for linkers gone."""
    strange = set(imported(object_file)) - IMPORTS
    if strange:
        raise SystemExit(f"the module would import {', '.join(sorted(strange))}")
    parts = list(sections(object_file))
    (linking,) = (body for kind, body in parts if kind == CUSTOM and body[1:8] == b"linking")
    index = function_numbers(linking)
    declared = number(len(exports))
    for name in exports:
        plain = name.removeprefix("door_").encode()
        declared += number(len(plain)) + plain + b"\0" + number(index[name])
    out, done = bytearray(object_file[:8]), False
    for kind, body in parts:
        if kind == CUSTOM:
            continue
        if kind > EXPORT and not done:
            out += number(EXPORT) + number(len(declared)) + declared
            done = True
        out += number(kind) + number(len(body)) + body
    return bytes(out)


if __name__ == "__main__":  # in the process of `built`
    part = Path(sys.argv[1]).with_suffix(".part")
    part.write_bytes(compile_module())
    part.replace(sys.argv[1])
