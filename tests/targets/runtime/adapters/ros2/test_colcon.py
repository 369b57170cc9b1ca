"""edgec_ros2 by colcon and ament_cmake, as Debian has them, with stand-ins for the packages below it."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import ADAPTERS
from tests.targets.runtime.adapters.ros2.message_headers import write_headers

DEBIAN = "/usr/bin:/bin"
"""Its Python has ament_package; another one may come first in the PATH."""
NEEDED = {name: shutil.which(name, path=DEBIAN) for name in ("colcon", "cmake", "g++")}
AMENT = Path("/usr/share/ament_cmake/cmake")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        None in NEEDED.values() or not AMENT.is_dir(),
        reason="edgec_ros2 is NOT BUILT by colcon: apt install python3-colcon-ros python3-colcon-cmake"
        " ament-cmake cmake g++",
    ),
]
MESSAGES = ("sensor_msgs", "std_msgs", "vision_msgs")
CLIENT = {"rclcpp": "rclcpp", "rclcpp_components": "component", "rclcpp_lifecycle": "rclcpp_lifecycle"}
REGISTER = """
function(rclcpp_components_register_node library)
  cmake_parse_arguments(ARGUMENT "" "PLUGIN;EXECUTABLE" "" ${ARGN})
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/alone.cpp" "int main() {}")
  add_executable(${ARGUMENT_EXECUTABLE} "${CMAKE_CURRENT_BINARY_DIR}/alone.cpp")
  target_link_libraries(${ARGUMENT_EXECUTABLE} ${library})
  install(TARGETS ${ARGUMENT_EXECUTABLE} DESTINATION lib/${PROJECT_NAME})
endfunction()
"""
VERSION = """
set(PACKAGE_VERSION 4.1.1)
set(PACKAGE_VERSION_COMPATIBLE TRUE)
"""


def write_package(prefix: Path, name: str, target: str, more: str = "") -> None:
    """Write what find_package reads of a package with headers alone."""
    folder = prefix / "share" / name / "cmake"
    folder.mkdir(parents=True)
    whole = f"{name}::{target}"
    (folder / f"{name}Config.cmake").write_text(
        f"add_library({whole} INTERFACE IMPORTED)\n"
        f'target_include_directories({whole} INTERFACE "{prefix / "include"}")\n'
        f"set({name}_TARGETS {whole})\n{more}"
    )
    (folder / f"{name}ConfigVersion.cmake").write_text(VERSION)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Where ROS 2 would be installed."""
    found = tmp_path / "ros"
    shutil.copytree(Path(__file__).parent / "rclcpp_stand_in", found / "include")
    write_headers(found / "include")
    for name in MESSAGES:
        write_package(found, name, name)
    for name, target in CLIENT.items():
        write_package(found, name, target, REGISTER if name == "rclcpp_components" else "")
    return found


def built(bundle: Path, prefix: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run docs/integrate.md's command in a folder."""
    folder.mkdir()
    command = [str(NEEDED["colcon"]), "build", "--base-paths", str(ADAPTERS / "ros2"), "--cmake-args"]
    environment = {**os.environ, "CMAKE_PREFIX_PATH": str(prefix), "HOME": str(folder), "PATH": DEBIAN}
    return subprocess.run(
        [*command, f"-DEDGEC_BUNDLE={bundle}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_colcon_builds_links_and_installs_it(board: Path, prefix: Path, tmp_path: Path) -> None:
    done = built(board, prefix, tmp_path / "workspace")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    installed = tmp_path / "workspace" / "install" / "edgec_ros2"
    index = installed / "share" / "ament_index" / "resource_index" / "packages" / "edgec_ros2"
    program = installed / "lib" / "edgec_ros2" / "edgec_classifier"
    assert index.is_file()
    assert subprocess.run([program], check=False, timeout=60).returncode == 0
    library = ctypes.CDLL(str(installed / "lib" / "libedgec_ros2.so"), os.RTLD_NOW)  # no symbol is missing
    assert hasattr(library, "_Z14make_componentRKN6rclcpp11NodeOptionsE")


def test_a_folder_without_libedgec_is_named(prefix: Path, tmp_path: Path) -> None:
    done = built(tmp_path, prefix, tmp_path / "workspace")
    assert done.returncode != 0
    assert "has no lib/libedgec.a" in " ".join(done.stderr.split())
