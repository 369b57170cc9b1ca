"""What owners of Jetsons published of `nvpmodel -q --verbose`, shortened: each parameter once or twice.

None was recorded by us. A line has a file, what it holds (REAL_VAL) and what the mode wants (CONF_VAL).
"""

import re
from pathlib import Path

ORIN_NANO_JETPACK_6_2 = """\
NVPM VERB: Config file: /etc/nvpmodel.conf
NVPM VERB: parsing done for /etc/nvpmodel.conf
NVPM VERB: Current mode: NV Power Mode: 25W
1
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_5: PATH /sys/devices/system/cpu/cpu5/online: REAL_VAL: 1 CONF_VAL: 1
NVPM VERB: PARAM FBP_POWER_GATING: ARG FBP_PG_MASK: PATH /sys/devices/platform/gpu.0/fbp_pg_mask: REAL_VAL: 2 CONF_VAL: 2
NVPM VERB: PARAM TPC_POWER_GATING: ARG TPC_PG_MASK: PATH /sys/devices/platform/gpu.0/tpc_pg_mask: REAL_VAL: 240 CONF_VAL: 240
NVPM VERB: PARAM GPU_POWER_CONTROL_ENABLE: ARG GPU_PWR_CNTL_EN: PATH /sys/devices/platform/gpu.0/power/control: REAL_VAL: auto CONF_VAL: on
NVPM VERB: PARAM CPU_A78_0: ARG MIN_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq: REAL_VAL: 729600 CONF_VAL: 729600
NVPM VERB: PARAM CPU_A78_0: ARG MAX_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq: REAL_VAL: 1344000 CONF_VAL: 1344000
NVPM VERB: PARAM GPU: ARG MIN_FREQ: PATH /sys/devices/platform/17000000.gpu/devfreq_dev/min_freq: REAL_VAL: 306000000 CONF_VAL: 0
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq: REAL_VAL: 918000000 CONF_VAL: 918000000
NVPM VERB: PARAM GPU_POWER_CONTROL_DISABLE: ARG GPU_PWR_CNTL_DIS: PATH /sys/devices/platform/gpu.0/power/control: REAL_VAL: auto CONF_VAL: auto
NVPM VERB: PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_clk_cap/emc: REAL_VAL: 3199000000 CONF_VAL: 3199000000
"""  # noqa: E501 - as they are printed
ORIN_NX_JETPACK_5 = """\
NVPM VERB: Current mode: NV Power Mode: 25W
3
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_7: PATH /sys/devices/system/cpu/cpu7/online: REAL_VAL: 1 CONF_VAL: 1
NVPM VERB: PARAM TPC_POWER_GATING: ARG TPC_PG_MASK: PATH /sys/devices/gpu.0/tpc_pg_mask: REAL_VAL: 240 CONF_VAL: 240
NVPM VERB: PARAM GPU_POWER_CONTROL_ENABLE: ARG GPU_PWR_CNTL_EN: PATH /sys/devices/gpu.0/power/control: REAL_VAL: auto CONF_VAL: on
NVPM VERB: PARAM CPU_A78_1: ARG MAX_FREQ: PATH /sys/devices/system/cpu/cpu4/cpufreq/scaling_max_freq: REAL_VAL: 1497600 CONF_VAL: 1497600
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devices/17000000.ga10b/devfreq_dev/max_freq: REAL_VAL: 408000000 CONF_VAL: 408000000
NVPM VERB: PARAM GPU_POWER_CONTROL_DISABLE: ARG GPU_PWR_CNTL_DIS: PATH /sys/devices/gpu.0/power/control: REAL_VAL: auto CONF_VAL: auto
NVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13
NVPM ERROR: failed to read PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_emc_cap/emc_iso_cap
NVPM VERB: PARAM DLA0_CORE: ARG MAX_FREQ: PATH /sys/devices/platform/13e40000.host1x/15880000.nvdla0/acm/clk_cap/dla0_core: REAL_VAL: 614400000 CONF_VAL: 614400000
"""  # noqa: E501 - as they are printed
XAVIER_NX = """\
NV Fan Mode:quiet
NVPM VERB: Current mode: NV Power Mode: MODE_15W_6CORE
2
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_5: PATH /sys/devices/system/cpu/cpu5/online: REAL_VAL: 1 CONF_VAL: 1
NVPM VERB: PARAM TPC_POWER_GATING: ARG TPC_PG_MASK: PATH /sys/devices/gpu.0/tpc_pg_mask: REAL_VAL: 2 CONF_VAL: 1
NVPM VERB: PARAM GPU_POWER_CONTROL_ENABLE: ARG GPU_PWR_CNTL_EN: PATH /sys/devices/gpu.0/power/control: REAL_VAL: auto CONF_VAL: on
NVPM VERB: PARAM CPU_DENVER_0: ARG MAX_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq: REAL_VAL: 1420800 CONF_VAL: 1420800
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devices/17000000.gv11b/devfreq/17000000.gv11b/max_freq: REAL_VAL: 1109250000 CONF_VAL: 1109250000
NVPM VERB: PARAM GPU_POWER_CONTROL_DISABLE: ARG GPU_PWR_CNTL_DIS: PATH /sys/devices/gpu.0/power/control: REAL_VAL: auto CONF_VAL: auto
NVPM VERB: PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: REAL_VAL: 1600000000 CONF_VAL: 1600000000
"""  # noqa: E501 - as they are printed
TX2_WITH_LOCKED_CLOCKS = """\
NVPM VERB: Current mode: NV Power Mode: MAXP_CORE_ARM
3
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_1: PATH /sys/devices/system/cpu/cpu1/online: REAL_VAL: 0 CONF_VAL: 0
NVPM VERB: PARAM CPU_A57: ARG MIN_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq: REAL_VAL: 2035200 CONF_VAL: 0
NVPM VERB: PARAM CPU_A57: ARG MAX_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq: REAL_VAL: 2035200 CONF_VAL: 2000000
NVPM VERB: PARAM GPU: ARG MIN_FREQ: PATH /sys/devices/17000000.gp10b/devfreq/17000000.gp10b/min_freq: REAL_VAL: 1134750000 CONF_VAL: 0
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devices/17000000.gp10b/devfreq/17000000.gp10b/max_freq: REAL_VAL: 1134750000 CONF_VAL: 1120000000
NVPM VERB: PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: REAL_VAL: 1600000000 CONF_VAL: 1600000000
"""  # noqa: E501 - as they are printed
NANO = """\
NVPM VERB: Current mode: NV Power Mode: MAXN
0
NVPM VERB: PARAM CPU_ONLINE: ARG CORE_3: PATH /sys/devices/system/cpu/cpu3/online: REAL_VAL: 1 CONF_VAL: 1
NVPM VERB: PARAM CPU_A57: ARG MAX_FREQ: PATH /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq: REAL_VAL: 1479000 CONF_VAL: 2147483647
NVPM VERB: PARAM GPU: ARG MAX_FREQ: PATH /sys/devices/gpu.0/devfreq/57000000.gpu/max_freq: REAL_VAL: 921600000 CONF_VAL: 2147483647
NVPM VERB: PARAM EMC: ARG MAX_FREQ: PATH /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: REAL_VAL: 0 CONF_VAL: 0
"""  # noqa: E501 - as they are printed
LISTINGS = {
    "orin nano, jetpack 6.2": ORIN_NANO_JETPACK_6_2,
    "orin nx, jetpack 5": ORIN_NX_JETPACK_5,
    "xavier nx": XAVIER_NX,
    "tx2": TX2_WITH_LOCKED_CLOCKS,
    "nano": NANO,
}
LINE = re.compile(r"PARAM (\w+): ARG (\w+): PATH (\S+): REAL_VAL: (\S+) CONF_VAL: (\S+)")
INT_MAX = ("2147483647", "9223372036854775807")
ORIN_NANO_MODES = {
    # name: GPU, EMC, processor, cores
    "15W": ("612000000", "2133000000", "1497600", 6),
    "25W": ("918000000", "3199000000", "1344000", 6),
    "MAXN_SUPER": ("-1", "-1", "-1", 6),
    "7W": ("408000000", "2133000000", "960000", 4),
}
"""Of an Orin Nano Super's nvpmodel.conf, as an owner published it."""
PROCESSOR_CLOCKS = "729600 960000 1344000 1497600 1728000"
GPU_CLOCKS = "306000000 408000000 510000000 612000000 714000000 816000000 918000000 1020000000"
PLACES = {
    "6": (
        "sys/devices/platform/17000000.gpu/devfreq_dev",
        "sys/devices/platform/gpu.0",
        "nvpmodel_clk_cap/emc",
    ),
    "5": ("sys/devices/17000000.ga10b/devfreq_dev", "sys/devices/gpu.0", "nvpmodel_emc_cap/emc_iso_cap"),
}
"""Where the kernels of JetPack 6 and 5 have the GPU's clocks and masks, and the memory's clock."""
NVPMODEL = """\
#!/bin/sh
names="15W 25W MAXN_SUPER 7W"
if [ "$1" = -q ]; then
    mode=$(/bin/cat {root}/mode); set -- $names; shift $mode
    echo "NV Power Mode: $1"; echo "$mode"; exit 0
fi
if [ "$2" = 3 ]; then
    echo "NVPM WARN: Reboot required for changing to this power mode: 3"
    echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm: "
    read answer
    echo "NVPM ERROR: optMask is 1, no request for power mode"; exit 1
fi
echo "$2" >{root}/mode
set -- $2 $names; shift $1; /bin/cp -r {root}/of-modes/$2/. {root}
"""
"""Writes what the mode has; refuses one that needs a reboot, in the words that owners published."""
ORIN_NANO_PARAMETERS = """\
# < PARAM TYPE=PARAM_TYPE NAME=PARAM_NAME >
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
CORE_1 /sys/devices/system/cpu/cpu1/online
CORE_2 /sys/devices/system/cpu/cpu2/online
CORE_3 /sys/devices/system/cpu/cpu3/online
CORE_4 /sys/devices/system/cpu/cpu4/online
CORE_5 /sys/devices/system/cpu/cpu5/online

< PARAM TYPE=FILE NAME=TPC_POWER_GATING >
TPC_PG_MASK /sys/devices/gpu.0/tpc_pg_mask
TPC_PG_MASK_KNEXT /sys/devices/platform/gpu.0/tpc_pg_mask

< PARAM TYPE=CLOCK NAME=CPU_A78_0 >
FREQ_TABLE /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_frequencies
MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq
MIN_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq

< PARAM TYPE=CLOCK NAME=GPU >
FREQ_TABLE /sys/devices/17000000.ga10b/devfreq_dev/available_frequencies
MAX_FREQ /sys/devices/17000000.ga10b/devfreq_dev/max_freq
MIN_FREQ /sys/devices/17000000.ga10b/devfreq_dev/min_freq
FREQ_TABLE_KNEXT /sys/devices/platform/17000000.gpu/devfreq_dev/available_frequencies
MAX_FREQ_KNEXT /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq
MIN_FREQ_KNEXT /sys/devices/platform/17000000.gpu/devfreq_dev/min_freq

< PARAM TYPE=CLOCK NAME=EMC >
MAX_FREQ /sys/kernel/nvpmodel_emc_cap/emc_iso_cap
MAX_FREQ_KNEXT /sys/kernel/nvpmodel_clk_cap/emc

"""


def write_listing(root: Path, listing: str) -> None:
    """Lay the files of a listing below `root`, and the configuration that it is of."""
    lines = LINE.findall(listing)
    mode = re.search(r"NV Power Mode: (\S+)\n(\d+)", listing)
    assert mode
    parameters, settings = [], [f"< POWER_MODEL ID={mode[2]} NAME={mode[1]} >"]
    for parameter, argument, path, real, wanted in lines:
        kind = "CLOCK" if argument.endswith("_FREQ") else "FILE"
        parameters += [f"< PARAM TYPE={kind} NAME={parameter} >", f"{argument} {path}"]
        settings.append(f"{parameter} {argument} {'-1' if wanted in INT_MAX else wanted}")
        write(root, path, real)
    write(root, "etc/nvpmodel.conf", "\n".join([*parameters, *settings, f"< PM_CONFIG DEFAULT={mode[2]} >"]))


def orin_nano_conf() -> str:
    """The nvpmodel.conf of an Orin Nano Super: all four modes."""
    blocks = []
    for number, (name, (gpu, memory, processor, cores)) in enumerate(ORIN_NANO_MODES.items()):
        online = [f"CPU_ONLINE CORE_{core} {int(core < cores)}" for core in range(6)]
        clocks = ["CPU_A78_0 MIN_FREQ 729600", f"CPU_A78_0 MAX_FREQ {processor}", "GPU MIN_FREQ 0"]
        clocks += [f"GPU MAX_FREQ {gpu}", f"EMC MAX_FREQ {memory}"]
        head = f"< POWER_MODEL ID={number} NAME={name} >"
        blocks.append("\n".join([head, *online, "TPC_POWER_GATING TPC_PG_MASK 240", *clocks, ""]))
    return ORIN_NANO_PARAMETERS + "\n".join(blocks) + "\n< PM_CONFIG DEFAULT=1 >\n"


def put_in_force(root: Path, name: str, kernel: str = "6") -> None:
    """Write below `root` what nvpmodel writes for a mode of an Orin Nano Super."""
    gpu, memory, processor, cores = ORIN_NANO_MODES[name]
    clocks, masks, memory_clock = PLACES[kernel]
    cpu0 = "sys/devices/system/cpu/cpu0/cpufreq"
    for core in range(6):
        write(root, f"sys/devices/system/cpu/cpu{core}/online", str(int(core < cores)))
    files = {
        f"{masks}/tpc_pg_mask": "240",
        f"{cpu0}/scaling_available_frequencies": PROCESSOR_CLOCKS,
        f"{cpu0}/scaling_max_freq": highest_of(PROCESSOR_CLOCKS, processor),
        f"{clocks}/available_frequencies": GPU_CLOCKS,
        f"{clocks}/max_freq": highest_of(GPU_CLOCKS, gpu),
        f"{clocks}/min_freq": "306000000",
        f"sys/kernel/{memory_clock}": "3199000000" if memory == "-1" else memory,
    }
    for path, text in files.items():
        write(root, path, text)


def highest_of(clocks: str, limit: str) -> str:
    """What stands in a max_freq under a limit: the table's highest without one."""
    return clocks.rsplit(maxsplit=1)[-1] if limit == "-1" else limit


def install_modes(root: Path, kernel: str) -> None:
    """Give the device below `root` the modes of an Orin Nano Super, and an nvpmodel that puts them in force.

    25W is on.
    """
    write(root, "etc/nvpmodel.conf", orin_nano_conf())
    for name in ORIN_NANO_MODES:
        put_in_force(root / "of-modes" / name, name, kernel)
    put_in_force(root, "25W", kernel)
    write(root, "mode", "1")
    write(root, "bin/nvpmodel", NVPMODEL.format(root=root))
    (root / "bin/nvpmodel").chmod(0o755)


def write(root: Path, path: str, text: str) -> None:
    """Write a file of the system below `root`."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")
