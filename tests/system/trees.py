"""
Machines with another device tree than their own: QEMU's tree is edited as text, and only Corral gets to see it. The firmware
keeps the real one, as it would stop at some of these itself: it starts a stub of three instructions, which goes to the kernel
with the edited tree.
"""
import functools
import os
import re
import subprocess

from tests.conftest import KERNEL

STUB, INITRD, TREE = 0x84000000, 0x88000000, 0x8A000000
QEMU = "qemu-system-riscv64"
LIMIT = 60


class Run:
    """What one boot left: QEMU's status, the lines on its console, and whether it had to be ended."""

    def __init__(self, status, text, hung):
        self.status, self.text, self.hung = status, text, hung

    def __repr__(self):
        return f"status {self.status}{', hung' if self.hung else ''}\n{self.text[-4000:]}"


@functools.lru_cache(maxsize=None)
def source(machine, harts, mem, folder):
    """The machine's own tree, as text."""
    path = os.path.join(folder, f"{machine}-{harts}.dtb")
    subprocess.run([QEMU, "-M", f"{machine},dumpdtb={path}", "-smp", str(harts), "-m", mem, "-display", "none"],
                   check=True, capture_output=True)
    return subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", path], check=True, capture_output=True, text=True).stdout


def node(text, name):
    """The text of the node with that name, from its first tab to its end."""
    match = re.search(rf"^(\t*){re.escape(name)} \{{\n.*?^\1\}};\n", text, re.M | re.S)
    assert match, name
    return match[0]


def without(text, name):
    return text.replace(node(text, name), "")


def with_property(text, name, line):
    """The node with one property more, or in place of the one it has."""
    old = node(text, name)
    kept = re.sub(rf"^\t+{re.escape(line.split(' =')[0].rstrip(';'))}( =.*)?;\n", "", old, count=1, flags=re.M)
    return text.replace(old, kept.replace("{\n", "{\n" + line + "\n", 1))


def stub(folder, address):
    path = os.path.join(folder, "stub.elf")
    code = f".globl _start\n_start: li a1, {address:#x}\nli t0, 0x80200000\njr t0\n"
    subprocess.run(["riscv64-linux-gnu-gcc", "-x", "assembler", "-nostdlib", "-static", f"-Wl,-N,-Ttext={STUB:#x},--build-id=none",
                    "-o", path, "-"], input=code, text=True, check=True, stderr=subprocess.DEVNULL)
    return path


def initrd_of(folder, program):
    from corral_lib import cpio  # put on the path by tests/conftest.py
    archive = cpio.Initramfs()
    archive.add(str(program), "/init", 0o755)
    path = os.path.join(folder, "initramfs")
    with open(path, "wb") as file:
        file.write(archive.to_bytes())
    return path


def boot(folder, program, arguments, edit, machine="virt", harts=2, mem="256M", at=TREE, firmware=None, tree=None, more=()):
    """
    Boots with the tree as edit(text) makes it, or with the blob `tree`, at physical `at`. arguments: the boot arguments, with the
    program's behind "--".
    """
    folder = str(folder)
    initrd = initrd_of(folder, program)
    text = source(machine, harts, mem, folder)
    if "\tchosen {\n" not in text:
        text = text.replace("{\n", "{\n\tchosen {\n\t};\n", 1)
    for line in (f'bootargs = "{arguments}";', f"linux,initrd-start = <{INITRD:#x}>;",
                 f"linux,initrd-end = <{INITRD + os.path.getsize(initrd):#x}>;"):
        text = with_property(text, "chosen", line)
    blob = os.path.join(folder, "edited.dtb")
    if tree is None:
        subprocess.run(["dtc", "-q", "-f", "-I", "dts", "-O", "dtb", "-o", blob, "-"], input=edit(text), text=True, check=True)
    else:
        with open(blob, "wb") as file:
            file.write(tree)
    command = [QEMU, "-M", machine, "-smp", str(harts), "-m", mem, "-nographic", "-no-reboot", "-kernel", stub(folder, at),
               *(["-bios", firmware] if firmware else []), "-device", f"loader,file={KERNEL},addr=0x80200000,force-raw=on",
               "-device", f"loader,file={initrd},addr={INITRD:#x},force-raw=on",
               "-device", f"loader,file={blob},addr={at:#x},force-raw=on", *more]
    hung = False
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        try:
            text = qemu.communicate(timeout=LIMIT)[0]
        except subprocess.TimeoutExpired:
            qemu.kill()
            text, hung = qemu.communicate()[0], True
    return Run(qemu.returncode, text.decode(errors="replace").replace("\r", ""), hung)
