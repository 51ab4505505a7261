#!/usr/bin/env python3
"""Plays QEMU with a guest inside, for tests of scripts/corral: one scenario a name, given as boot argument fake=NAME."""
import os
import signal
import sys
import time

FRAME = b"\x10"


def say(*parts):
    for part in parts:
        os.write(1, part)


def read_until_end():
    """All input as it arrives on the line, up to end of file (DLE Z)."""
    data = b""
    while not data.endswith(b"\x10Z"):
        piece = os.read(0, 4096)
        if not piece:
            break
        data += piece
    return data


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def banner():
    say(b"OpenSBI v1.1\r\n", b"[    0.000001] corral: hello\r\n", FRAME + b"K")


def scenario_exit(status="00"):
    banner()
    say(FRAME + b"O", b"out\n", FRAME + b"E", b"err\n", FRAME + b"X" + status.encode())


def scenario_split():
    """Each byte on its own, and DLE among the data."""
    banner()
    for byte in FRAME + b"Oa\x10\x10b" + FRAME + b"K[    0.1] noise\n" + FRAME + b"Oc" + FRAME + b"X07":
        say(bytes([byte]))
        time.sleep(0.002)


def scenario_binary():
    banner()
    data = bytes(range(256)) * 4096
    say(FRAME + b"O")
    view = memoryview(data.replace(FRAME, FRAME * 2))
    while view:
        view = view[os.write(1, view):]
    say(FRAME + b"X00")


def scenario_echo():
    """What arrives goes back as it is, so that the test sees the escapes too."""
    banner()
    data = read_until_end()
    say(FRAME + b"O")
    view = memoryview(data.replace(FRAME, FRAME * 2))
    while view:
        view = view[os.write(1, view):]
    say(FRAME + b"X00")


def scenario_early():
    """Whoever sends before the guest is ready loses it."""
    say(b"OpenSBI\r\n")
    time.sleep(0.3)
    os.set_blocking(0, False)
    try:
        early = len(os.read(0, 4096))
    except BlockingIOError:
        early = 0
    os.set_blocking(0, True)
    banner()
    read_until_end()
    say(FRAME + b"O", b"early %d" % early, FRAME + b"X00")


def scenario_burst():
    banner()
    say(FRAME + b"O", b"go\n")
    time.sleep(0.3)
    say(FRAME + b"X03")


def scenario_append():
    banner()
    say(FRAME + b"O", os.fsencode(option("-append")), FRAME + b"X00")


def scenario_arguments():
    banner()
    say(FRAME + b"O", "\0".join(sys.argv[1:]).encode(), FRAME + b"X00")


def scenario_initrd():
    banner()
    with open(option("-initrd"), "rb") as file:
        data = file.read()
    say(FRAME + b"O", data.replace(FRAME, FRAME * 2), FRAME + b"X00")


def scenario_panic():
    banner()
    say(b"[    0.2] CHECK(x) failed\n", FRAME + b"P", b"a0 0000000000000000\n")
    os._exit(125)


def scenario_panic_hang():
    banner()
    say(b"[    0.2] CHECK(x) failed\n", FRAME + b"P", b"stuck\n")
    time.sleep(600)


def scenario_bootfail():
    say(b"OpenSBI v1.1\r\n[    0.000001] corral: no memory in the device tree\r\n")
    os._exit(125)


def scenario_refuse():
    os.write(2, b"qemu-system-riscv64: -frobnicate: invalid option\n")
    os._exit(1)


def scenario_hang():
    banner()
    say(FRAME + b"O", b"pid %d\n" % os.getpid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def scenario_keys():
    """A terminal: shows each byte that arrives as a number, ends at q."""
    banner()
    say(FRAME + b"O", b"keys\n")
    while True:
        for byte in os.read(0, 64):
            say(b"<%d>" % byte)
            if byte == ord("q"):
                say(FRAME + b"X00")
                return


def main():
    words = dict(word.split("=", 1) for word in option("-append").split(" -- ")[0].split() if "=" in word)
    name, _, argument = words["fake"].partition(":")
    globals()["scenario_" + name](*([argument] if argument else []))


if __name__ == "__main__":
    main()
