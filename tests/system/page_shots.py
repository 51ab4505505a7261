"""Looks at a page in headless Chromium: what it measures of itself, and its pixels."""
import json
import re
import shutil
import struct
import subprocess
import zlib

CHROMIUM = shutil.which("chromium")
PROBE = """<script>
addEventListener("load", () => { const of = [...document.querySelectorAll("figure")].map(f => { const s = f.querySelector("svg"), r = s ? s.getBoundingClientRect() : {width: 0, height: 0};
 return {id: f.id, width: r.width, height: r.height, shapes: s ? s.querySelectorAll("path, polygon, use").length : 0, texts: s ? s.querySelectorAll("text").length : 0}; });
 parent.postMessage(JSON.stringify({scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth, figures: of,
  text: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor}), "*"); });
</script>"""
FRAME = """<!DOCTYPE html><html><body style="margin:0"><pre id="found" hidden></pre><iframe src="probed.html" style="border:0;width:{0}px;height:{1}px"></iframe>
<script>addEventListener("message", e => document.getElementById("found").textContent = e.data)</script></body></html>"""


def chromium(tmp_path, width, height, *options):
    return subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files", f"--user-data-dir={tmp_path}/profile",
                           f"--window-size={max(width, 500)},{height}", *options, f"file://{tmp_path}/frame.html"], capture_output=True, text=True, timeout=150, check=False)


def look(page, tmp_path, width, height, dark=False):
    """(what the page says of itself in a frame so wide, the path of a screenshot)"""
    text = page.read_text(encoding="utf-8")
    (tmp_path / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width, height), encoding="ascii")
    options = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    dom = chromium(tmp_path, width, height, *options, "--virtual-time-budget=3000", "--dump-dom").stdout
    shot = tmp_path / f"shot-{width}{'-dark' if dark else ''}.png"
    chromium(tmp_path, width, height, *options, f"--screenshot={shot}")
    found = re.search(r'<pre id="found" hidden="">(.*?)</pre>', dom, re.DOTALL)
    assert found and found[1], dom[-2000:]
    return json.loads(found[1]), shot


def printed(page, tmp_path):
    """(pages, the colours that are filled) of its PDF, printed where the screen is dark."""
    pdf = tmp_path / "page.pdf"
    (tmp_path / "frame.html").write_bytes(page.read_bytes())
    chromium(tmp_path, 1000, 1000, "--blink-settings=preferredColorScheme=0", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    data = pdf.read_bytes()
    streams = [zlib.decompress(found) for found in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL) if found[:1] == b"x"]
    colours = {tuple(round(255 * float(part)) for part in found.split()) for found in re.findall(rb"([\d.]+ [\d.]+ [\d.]+) rg\b", b"".join(streams))}
    return len(re.findall(rb"/Type\s*/Page\b", data)), colours


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
