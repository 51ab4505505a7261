#!/usr/bin/python3
"""
A board in a lab, played by QEMU's sifive_u, for tests/system/test_lava.py: its power switch, its card, its console.

  lava_board.py DIR on|off|flash IMAGE|console      all that it has is in DIR: card, flash, spl, pid
"""
import os
import select
import shutil
import signal
import subprocess
import sys


def power_off(folder):
    path = os.path.join(folder, "pid")
    if not os.path.exists(path):
        return
    with open(path, encoding="ascii") as file:
        pid = int(file.read())
    os.remove(path)
    try:
        os.killpg(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has switched itself off


def power_on(folder):
    """The console is a file: QEMU loses bytes at a socket whose reader is slow."""
    power_off(folder)
    at = {name: os.path.join(folder, name) for name in ("card", "flash", "spl", "console", "pid")}
    command = ["timeout", "300", "qemu-system-riscv64", "-M", "sifive_u,msel=11", "-smp", "5", "-m", "8G", "-no-reboot", "-display", "none",
               "-monitor", "none", "-serial", "stdio", "-bios", at["spl"],
               "-drive", f"file={at['card']},format=raw,if=sd", "-drive", f"file={at['flash']},format=raw,if=mtd"]
    with open(at["console"], "ab") as out, open(at["pid"], "w", encoding="ascii") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        file.write(str(process.pid))


def console(folder):
    """As a serial cable: there whether the board is on or not. What is typed is lost: the job types nothing."""
    with open(os.path.join(folder, "console"), "ab+") as file:
        file.seek(0, os.SEEK_END)
        while True:
            data = file.read()
            if data:
                os.write(1, data)
            elif select.select([0], [], [], 0.1)[0] and not os.read(0, 4096):
                return


def main():
    folder, what = sys.argv[1:3]
    if what == "flash":
        shutil.copyfile(sys.argv[3], os.path.join(folder, "card"))
    else:
        {"on": power_on, "off": power_off, "console": console}[what](folder)


if __name__ == "__main__":
    main()
