"""
Hardware and firmware that QEMU and OpenSBI do not play, by firmware of our own (tests/firmware): SBI 0.2 without SRST, PMU and
DBCN; harts without ASIDs; `time` that traps; firmware that starts all harts at once.
"""
import subprocess

import pytest

from corral_lib import platform
from tests.conftest import KERNEL, LONG, ROOT
from tests.user.cases import CASES

SOURCES = [str(ROOT / "tests" / "firmware" / name) for name in ("entry.S", "sbi.c", "emulate.c")]
COMPILER = ["riscv64-linux-gnu-gcc", "-O2", "-std=gnu11", "-march=rv64imac_zicsr_zifencei", "-mabi=lp64", "-mcmodel=medany", "-ffreestanding",
            "-nostdlib", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Werror",
            "-Wl,--no-warn-rwx-segments,--build-id=none", f"-I{ROOT}"]
FIRMWARES = {"sbi-0.2": [], "no-asid": ["NO_ASID"], "no-time": ["NO_TIME"], "old-u74": ["NO_ASID", "NO_TIME"], "no-hsm": ["NO_HSM"], "early": ["EARLY"],
             "boot-1": ["BOOT_HART=1"], "boot-3": ["BOOT_HART=3"], "slow-fence": ["FENCE_MS=20"], "late": ["LATE_MS=5000"]}
# What lives by fences, by ASIDs, by time.
PROGRAMS = ["space_switch", "cow_threads", "clock"]
MORE = ["cow_fork", "residency", "shootdown_munmap", "shootdown_mprotect", "stale_frame", "switch_storm", "timers", "fork_storm", "exec_storm",
        "write_execute", "cpu_clock", "membarrier", "table_churn", "cow_racer"]


@pytest.fixture(scope="session")
def firmware(tmp_path_factory):
    """firmware(name) -> its file, for -bios"""
    folder = tmp_path_factory.mktemp("firmware")

    def build(name):
        path = folder / f"{name}.elf"
        if not path.exists():
            subprocess.run([*COMPILER, *(f"-D{word}" for word in FIRMWARES[name]), f"-Wl,-T,{ROOT}/tests/firmware/firmware.ld",
                            "-o", str(path), *SOURCES], check=True)
        return path
    return build


@pytest.fixture
def on(firmware, corral, programs):
    def run(name, program, *args, append="", options=(), **more):
        return corral(programs / program, *args, append="audit=on " + append, options=["--qemu-args", f"-bios {firmware(name)}", *options],
                      timeout=120, **more)
    return run


def boot_hart(name):
    """Of those that say which."""
    return int(name[-1]) if name.startswith("boot-") else 0


# ---- The firmware is what it says

@pytest.mark.parametrize("name", FIRMWARES)
def test_the_play(firmware, tmp_path, name):
    """By a payload in the kernel's place; without ASIDs, user mode on a root that was not fenced ends the machine."""
    payload = tmp_path / "payload.elf"
    subprocess.run([*COMPILER, "-Wl,-N,-Ttext=0x80200000", "-o", str(payload), str(ROOT / "tests" / "firmware" / "payload.S")], check=True)
    harts = "4" if name.startswith("boot-") else "1"
    done = subprocess.run(["qemu-system-riscv64", "-M", "virt", "-smp", harts, "-nographic", "-bios", str(firmware(name)), "-kernel", str(payload)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    asids, hsm = "NO_ASID" not in FIRMWARES[name], "NO_HSM" not in FIRMWARES[name]
    end = "e\n" if asids else "tests/firmware: user mode on another root without a fence\n"
    assert done.stdout == f"tests/firmware: SBI 0.2, hart {boot_hart(name)}\nv2111{int(hsm)}000a{int(asids)}t1i1fu{end}", done
    assert done.returncode == (0 if asids else 3), done


# ---- Corral on it

@pytest.mark.parametrize("name", FIRMWARES)
def test_boots(on, name):
    done = on(name, "machine", harts=4)
    harts = 1 if name in ("no-hsm", "late") else 4
    assert done.status == 0 and done.out.startswith(f"harts {harts} memory ") and "audit: ok" in done.log, done
    assert "tests/firmware: SBI 0.2" in done.log, done


@pytest.mark.parametrize("name,harts", [("boot-1", 2), ("boot-1", 4), ("boot-3", 4)])
def test_boot_hart(on, name, harts):
    """Any hart may be the first: it starts those below it, too, takes the console's interrupts, and all of them take part."""
    done = on(name, "echo", harts=harts, stdin="one line\n" * 50)
    assert (done.status, done.out) == (0, "one line\n" * 50 + "ok\n") and f"SBI 0.2, hart {boot_hart(name)}\n" in done.log, done
    done = on(name, "cow_threads", *CASES["cow_threads"].get("args", []), harts=harts)
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


def test_late_harts_stay_out(on):
    """They come a second after nobody waits for them any more, and three before the program looks."""
    done = on("late", "late_harts", "4", harts=3)
    assert done.log.count("was started and has not arrived: left out") == 2 and "audit: ok" in done.log, done
    assert (done.status, done.out) == (0, "harts 1\n"), done


def test_slow_fences(on):
    """A hart that has the firmware fence others, page after page, answers those who wait for it in between: not only every 32 pages."""
    done = on("slow-fence", "fence_wait", harts=2, append="tlb=broadcast")
    assert done.status == 0 and int(done.out.split()[0]) >= 16 and "audit: ok" in done.log, done


@pytest.mark.parametrize("harts", [1, 2, 4])
@pytest.mark.parametrize("program", PROGRAMS + [pytest.param(program, marks=LONG) for program in MORE])
def test_old_u74(on, program, harts):
    """No ASIDs, no time, SBI 0.2 alone: all at once."""
    done = on("old-u74", program, *CASES[program].get("args", []), harts=harts)
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


@LONG
@pytest.mark.parametrize("program", ["cow_fork", "residency", "space_switch", "shootdown_munmap"])
def test_all_of_a_u74(on, program):
    """On QEMU 10, which plays the rest of one: A and D bits that trap, Sv39 alone, its ids."""
    try:
        platform.qemu_10()
    except platform.Impossible as error:
        pytest.skip(str(error))
    done = on("old-u74", program, *CASES[program].get("args", []), harts=4, options=["--qemu", "10", "--qemu-args", "-cpu " + platform.U74])
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log and "CIP-1200" in done.log, done


@pytest.mark.parametrize("name,program", [("no-asid", "cow_threads"), ("sbi-0.2", "stale_frame"), ("no-time", "timers"),
                                          pytest.param("no-asid", "switch_storm", marks=LONG), pytest.param("sbi-0.2", "switch_storm", marks=LONG)])
def test_remote_fences(on, name, program):
    """The shootdown by the firmware's RFENCE, which has no ASID to name where there are none."""
    done = on(name, program, *CASES[program].get("args", []), harts=4, append="tlb=rfence")
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


def test_no_events(on):
    """Nobody counts: no PMU."""
    assert on("sbi-0.2", "cat", "/proc/corral/events").out == ""


@LONG
@pytest.mark.parametrize("harts", [1, 2, 4])
def test_suites(firmware, harts):
    """Those inside the kernel."""
    from tests.kernel import test_kernel
    if not KERNEL.with_name("Image-test").exists():
        pytest.skip("make MODE=debug ktest-image")
    test_kernel.check(*test_kernel.boot(harts, "test=all", more=["-bios", str(firmware("old-u74"))]))


def test_no_power_off(firmware, tmp_path, programs, monkeypatch):
    """Without SRST, and with a tree that names no device for it, the legacy call ends the machine."""
    from tests.system import trees
    done = trees.boot(tmp_path, programs / "machine", "audit=on end=stop", lambda text: text.replace("sifive,test0", "acme,test0").replace(
        '"syscon-poweroff"', '"acme,poweroff"'), firmware=str(firmware("sbi-0.2")))
    assert not done.hung and done.status == 0 and "there is no way to power off" in done.text, done
