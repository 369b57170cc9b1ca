"""Who runs this program, and to whom the files it writes belong."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def user_name() -> str:
    """Return the name of the user who runs this; the number where there is no name, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def give_to_the_folders_owner(path: Path) -> None:
    """Give a file that root wrote, as under sudo, to the owner of its folder, who has to replace it later."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(str(path), owner.st_uid, owner.st_gid)
