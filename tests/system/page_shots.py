"""Looks at a page in headless Chromium: what it measures of itself, and its pixels."""
import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import zlib

import pytest

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
LIMIT = 60     # seconds for one run, which takes one or two
UNUSABLE = []  # why, as soon as it is known
PROBE = """<script>
addEventListener("load", () => { const of = [...document.querySelectorAll("figure")].map(f => { const s = f.querySelector("svg"), r = s ? s.getBoundingClientRect() : {width: 0, height: 0};
 return {id: f.id, width: r.width, height: r.height, shapes: s ? s.querySelectorAll("path, polygon, use").length : 0, texts: s ? s.querySelectorAll("text").length : 0}; });
 parent.postMessage(JSON.stringify({scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth, figures: of,
  text: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor}), "*"); });
</script>"""
FRAME = """<!DOCTYPE html><html><body style="margin:0"><pre id="found" hidden></pre><iframe src="probed.html" style="border:0;width:{0}px;height:{1}px"></iframe>
<script>addEventListener("message", e => document.getElementById("found").textContent = e.data)</script></body></html>"""


def run(folder, width, height, *options):
    """What Chromium says of folder/frame.html. What it started ends with it."""
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--allow-file-access-from-files",
               f"--user-data-dir={folder}/profile", f"--window-size={max(width, 500)},{height}", *options, f"file://{folder}/frame.html"]
    with open(folder / "said", "w+", encoding="utf-8", errors="replace") as said, \
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            UNUSABLE.append(f"chromium does not end within {LIMIT} s")
            pytest.skip(UNUSABLE[0])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        said.seek(0)
        return said.read()


def seen(text, folder, width, height, dark=False):
    """(what the page says of itself in a frame so wide, the path of a screenshot)"""
    (folder / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width, height), encoding="ascii")
    options = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    dom = run(folder, width, height, *options, "--virtual-time-budget=3000", "--dump-dom")
    shot = folder / f"shot-{width}{'-dark' if dark else ''}.png"
    run(folder, width, height, *options, f"--screenshot={shot}")
    found = re.search(r'<pre id="found" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert found and found[1], dom[-2000:]
    assert shot.exists()
    return json.loads(found[1]), shot


def printed(text, folder):
    """(pages, the colours that are filled) of its PDF, printed where the screen is dark."""
    pdf = folder / "page.pdf"
    (folder / "frame.html").write_text(text, encoding="utf-8")
    run(folder, 1000, 1000, "--blink-settings=preferredColorScheme=0", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    data = pdf.read_bytes()
    streams = [zlib.decompress(found) for found in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL) if found[:1] == b"x"]
    colours = {tuple(round(255 * float(part)) for part in found.split()) for found in re.findall(rb"([\d.]+ [\d.]+ [\d.]+) rg\b", b"".join(streams))}
    return len(re.findall(rb"/Type\s*/Page\b", data)), colours


KNOWN = """<!DOCTYPE html><html><head><style>body { background: #fff; color: #000 } rect { fill: #0b6fb8 }
@media screen and (prefers-color-scheme: dark) { body { background: #141418; color: #fff } }</style></head>
<body><p>A page</p><figure id="known"><svg width="300" height="200"><rect width="300" height="200"/><path d="M0 0L9 9"/><text y="90">text</text></svg></figure></body></html>"""


def usable(folder):
    """Why this Chromium does not do with a page that is known what the tests ask of it; None: it does."""
    try:
        for dark, scheme, bright in ((False, "rgb(255, 255, 255)", True), (True, "rgb(20, 20, 24)", False)):
            found, shot = seen(KNOWN, folder, 500, 600, dark)
            figure, = found["figures"]
            mean, _ = brightness(shot)
            if (found["width"], found["paper"], figure["id"], figure["width"], figure["texts"], mean > 128) != (500, scheme, "known", 300, 1, bright):
                return f"says of a page that is known: {found}, {mean}"
        pages, colours = printed(KNOWN, folder)
        return None if pages == 1 and {(0, 0, 0), (11, 111, 184)} <= colours else f"prints of a page that is known: {pages}, {colours}"
    except (AssertionError, OSError, ValueError, KeyError, struct.error, zlib.error) as error:
        return f"cannot be used: {str(error)[-300:]!r}"


@contextlib.contextmanager
def judged(tmp_path):
    """What fails within it is the page's fault: where Chromium itself does not do its part here, the test is skipped."""
    if UNUSABLE:
        pytest.skip(UNUSABLE[0])
    try:
        yield
    except (AssertionError, OSError, ValueError, KeyError, struct.error, zlib.error):
        (tmp_path / "known").mkdir()
        why = usable(tmp_path / "known")
        if why is None:
            raise
        UNUSABLE.append(f"chromium {why}")
        pytest.skip(UNUSABLE[0])


def rows(path):
    """The pixels of a PNG of 8 bits a channel without interlacing: its rows as bytes, and bytes a pixel."""
    data = path.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6)
    size, at, packed = 3 if kind == 2 else 4, 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, before, found = zlib.decompress(packed), bytes(width * size), []
    for y in range(height):
        line = bytearray(raw[y * (width * size + 1) + 1:(y + 1) * (width * size + 1)])
        filtered = raw[y * (width * size + 1)]
        for x in range(len(line) if filtered else 0):
            left, up = line[x - size] if x >= size else 0, before[x]
            corner = before[x - size] if x >= size else 0
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            line[x] = (line[x] + (0, left, up, (left + up) // 2, near)[filtered]) & 255
        before = bytes(line)
        found.append(before)
    return found, size


def brightness(path):
    """(mean of all, how many different colours in every seventh row)"""
    found, size = rows(path)
    sample = found[::7]
    colours = {line[x:x + 3] for line in sample for x in range(0, len(line), size)}
    values = [sum(line[x:x + 3]) / 3 for line in sample for x in range(0, len(line), size * 5)]
    return sum(values) / len(values), len(colours)
