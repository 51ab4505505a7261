"""The framed console of drivers/console.h, seen from the host."""

DLE = 0x10
KERNEL, OUT, ERR = b"K"[0], b"O"[0], b"E"[0]
HEX = b"0123456789abcdefABCDEF"


class Decoder:
    """
    Takes bytes as they come, in any pieces, and gives events:
      ("data", channel, bytes)  ("ready",)  ("panic",)  ("exit", status)
    "ready" comes once, with the first frame switch: from there on the guest takes input.
    """

    def __init__(self):
        self.channel = KERNEL
        self.pending = b""
        self.ready = False

    def feed(self, data):
        data = self.pending + data
        self.pending = b""
        events = []
        run = bytearray()
        at = 0
        while at < len(data):
            dle = data.find(DLE, at)
            run += data[at:dle if dle >= 0 else len(data)]
            if dle < 0:
                break
            used = self.control(data[dle + 1:dle + 4], run, events)
            if used == 0:
                self.pending = data[dle:]
                break
            at = dle + 1 + used
        self.flush(run, events)
        return events

    def flush(self, run, events):
        if run:
            events.append(("data", self.channel, bytes(run)))
            run.clear()

    def control(self, rest, run, events):
        """One control sequence, its DLE taken off. Returns how many bytes it has, 0 when it is not whole yet."""
        if not rest:
            return 0
        kind = rest[0]
        if kind == DLE:
            run.append(DLE)
            return 1
        if kind == b"X"[0]:
            if len(rest) < 3:
                return 0
            self.flush(run, events)
            if rest[1] in HEX and rest[2] in HEX:
                events.append(("exit", int(rest[1:3], 16)))
            return 3
        self.flush(run, events)
        if kind in (KERNEL, OUT, ERR):
            self.channel = kind
            if not self.ready:
                self.ready = True
                events.append(("ready",))
        elif kind == b"P"[0]:
            events.append(("panic",))
        # Anything else is no sequence of ours (firmware noise before the kernel speaks): dropped.
        return 1


def encode(data):
    """Input for the guest, with DLE escaped."""
    return data.replace(b"\x10", b"\x10\x10")


END_OF_FILE = b"\x10Z"


def window(rows, columns):
    return b"\x10W%04x%04x" % (rows & 0xFFFF, columns & 0xFFFF)
