"""C++ headers for ROS 2 messages, made of their published .msg files, for where ROS 2 is not installed.

They have the names, fields and pointers that rosidl_generator_cpp gives its structures, and no more.
"""

import re
from collections.abc import Iterator
from pathlib import Path

MESSAGES = Path(__file__).parent / "messages"
FIELD = re.compile(r"^(?P<type>[\w/]+)(?P<array>\[\])?\s+(?P<name>[a-z]\w*)\s*(#.*)?$")
BUILT_IN = {
    "string": "std::string",
    "float64": "double",
    **{f"{sign}int{bits}": f"std::{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def header_name(message: str) -> str:
    """Return CompressedImage as compressed_image.hpp."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", message).lower() + ".hpp"


def fields(path: Path) -> Iterator[tuple[str, bool, str]]:
    """Yield type, whether it is an array, and name. Raises ValueError for other lines than comments."""
    for line in path.read_text().splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = FIELD.match(line)
        if not found:
            raise ValueError(f"{path}: {line}")
        yield found["type"], bool(found["array"]), found["name"]


def header(path: Path) -> str:
    """Return the header of one message."""
    package, message = path.parent.name, path.stem
    includes, members = [], []
    for kind, many, name in fields(path):
        told = BUILT_IN.get(kind)
        if told is None:
            of, _, other = kind.rpartition("/")
            told = f"{of or package}::msg::{other}"
            includes.append(f"#include <{of or package}/msg/{header_name(other)}>\n")
        members.append(f"  {f'std::vector<{told}>' if many else told} {name}{{}};\n")
    return (
        "#pragma once\n#include <cstdint>\n#include <memory>\n#include <string>\n#include <vector>\n"
        f"{''.join(includes)}namespace {package}::msg {{\nstruct {message} {{\n{''.join(members)}"
        f"  using SharedPtr = std::shared_ptr<{message}>;\n"
        f"  using ConstSharedPtr = std::shared_ptr<const {message}>;\n}};\n}}\n"
    )


def write_headers(folder: Path) -> None:
    """Write all below a folder, which is to be looked for includes in."""
    for path in sorted(MESSAGES.rglob("*.msg")):
        target = folder / path.parent.name / "msg" / header_name(path.stem)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(header(path))
