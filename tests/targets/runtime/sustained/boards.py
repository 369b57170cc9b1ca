"""Sensors of boards, in the files and lines in which owners published them; none was recorded by us."""

from pathlib import Path

TEGRASTATS_ORIN_NANO = (
    "01-08-2025 14:02:11 RAM 3125/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU [12%@1728,off] "
    "EMC_FREQ 2%@3199 GR3D_FREQ 97%@[1007] NVDEC off cpu@52.1C soc2@50.4C tj@53.2C gpu@53.2C "
    "VDD_IN 12480mW/11870mW VDD_CPU_GPU_CV 5980mW/5520mW VDD_SOC 2310mW/2290mW"
)
TEGRASTATS_AGX_ORIN = (
    "RAM 2671/30697MB (lfb 6x4MB) SWAP 0/15348MB (cached 0MB) CPU [0%@729,0%@729] EMC_FREQ 0% GR3D_FREQ 0% "
    "VDD_GPU_SOC 2385mW/2385mW VDD_CPU_CV 397mW/397mW VIN_SYS_5V0 3328mW/3328mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 604mW/604mW NC 0mW/0mW"
)
TEGRASTATS_XAVIER = (
    "RAM 7365/15692MB (lfb 1x4MB) CPU [20%@2265] GR3D_FREQ 99%@1377 AO@45C GPU 5000/4000 CPU 1500/1400 "
    "SOC 2300/2200 CV 0/0 VDDRQ 900/800 SYS5V 2500/2400"
)
TEGRASTATS_JETPACK_7_2 = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,10%@2201] EMC_FREQ 3%@3199 "
    "GR3D_FREQ 12%@[1300,1300] NVENC0 off APE 174 cpu@52.968C/52.968C gpu@47.625C/47.625C "
    "VDD_GPU_SOC 5139mW/5139mW/5139mW VDD_CPU_CV 3268mW/3268mW/3268mW VIN_SYS_5V0 5500mW/5500mW/5500mW"
)
TEGRASTATS_THOR = (
    "RAM 12304/125771MB (lfb 5x4MB) SWAP 0/0MB CPU [1%@972,0%@972] GR3D_FREQ @[1000,1000,1000] "
    "cpu@45.1C tj@46.2C VDD_GPU -392mW/-392mW VDD_CPU_SOC_MSS 3924mW/3924mW VIN_SYS_5V0 6520mW/6520mW "
    "VIN 23000mW/23000mW"
)
PMIC_PI5 = """\
   3V7_WL_SW_A current(0)=0.00389424A
       3V3_SYS_A current(1)=0.09271552A
        VDD_CORE_A current(7)=1.53000000A
   3V7_WL_SW_V volt(8)=3.72393900V
       3V3_SYS_V volt(9)=3.31145000V
        VDD_CORE_V volt(15)=0.72123000V
          EXT5V_V volt(24)=5.15536000V
"""


def ina3221(folder: Path, labels: dict[int, str], milliamperes: int, millivolts: int) -> None:
    """A monitor as the kernel's ina3221 driver shows it: three channels, their shunts, and sums of both."""
    write(folder / "name", "ina3221")
    write(folder / "in7_label", "sum of shunt voltages")
    write(folder / "in7_input", "12000")
    write(folder / "curr4_input", str(sum(milliamperes * channel for channel in labels)))
    for channel, label in labels.items():
        write(folder / f"in{channel}_label", label)
        write(folder / f"in{channel}_input", str(millivolts))
        write(folder / f"curr{channel}_input", str(milliamperes * channel))
        write(folder / f"in{channel + 3}_input", "6400")  # the voltage of the shunt, in uV


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
