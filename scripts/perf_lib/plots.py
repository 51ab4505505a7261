"""
Plots by gnuplot as SVG that stands in a page: colours are the page's (CSS variables), so light, dark and paper are its business.

gnuplot knows colours as numbers only: each of ours is drawn as a marker, 0x0000XX, which becomes a variable afterwards.
"""
import re
import shutil
import subprocess

from perf_lib import runs

COLOURS = {0xE0: "grid", 0xE1: "axis", 0xE2: "text", **{0xF0 + i: f"c{i}" for i in range(1, 8)}}
SIZE = (520, 340)
HEAD = """set terminal svg size {0},{1} dynamic enhanced font 'sans-serif,14'
set encoding utf8
set border 3 lc rgb '#0000e1'
set tics nomirror tc rgb '#0000e2' scale 0.5
set grid ytics lc rgb '#0000e0' lw 1 dt solid
set key tmargin left reverse Left tc rgb '#0000e2' samplen 2
set style fill solid 1.0 noborder
set xlabel tc rgb '#0000e2'
set ylabel tc rgb '#0000e2' offset 1,0
"""


def quoted(text):
    """For gnuplot's single quotes, and its enhanced text."""
    return "'" + re.sub(r"([_^@&{}~\\])", r"\\\1", str(text)).replace("'", "''") + "'"


def colour(index):
    return f"lc rgb '#0000{0xF1 + index % 7:02x}'"


def tidy(svg, name):
    """Without what a page has already, with its colours, and with ids of its own."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<title>.*?</title>|<desc>.*?</desc>|<filter.*?</filter>|<rect x=\"0\" y=\"0\"[^>]*/>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s(color|xmlns:xlink|font-family)=\"[^\"]*\"", "", svg)

    def marker(match):
        return f"{match[1]}={match[2]}var(--{COLOURS[int(match[3])]}){match[2]}" if int(match[3]) in COLOURS else match[0]
    svg = re.sub(r"(stroke|fill|color)\s*=\s*(['\"])rgb\(\s*0,\s*0,\s*(\d+)\)\2", marker, svg)
    svg = re.sub(r"(id=['\"]|href=['\"]#)(gp|gnuplot)", rf"\g<1>{name}-\2", svg).replace("xlink:href", "href")
    return re.sub(r"\n\s*\n+", "\n", re.sub(r"<g [^>]*>\s*</g>", "", svg)).replace("<svg", "<svg role=\"img\"", 1)


def draw(name, script, size=SIZE):
    """The SVG of a gnuplot script."""
    if not shutil.which("gnuplot"):
        raise runs.Failed("needs gnuplot: package gnuplot-nox")
    done = subprocess.run(["gnuplot"], input=HEAD.format(*size) + script, capture_output=True, text=True, check=False)
    if done.returncode or "<svg" not in done.stdout or done.stderr.strip():
        raise runs.Failed(f"gnuplot: {name}: {done.stderr.strip()[:300]}")
    return tidy(done.stdout, name)


POINTS = (7, 5, 9, 13, 11)


def key(titles):
    """Beside each other where they are short."""
    return "set key horizontal maxcols 2\n" if max(map(len, titles)) <= 22 else ""


def block(name, rows):
    return f"${name} << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "EOD\n"


def lines(name, series, xlabel, ylabel, log="", places=None):
    """series: {title: [(x, y)]}"""
    text = "".join(block(f"d{i}", points) for i, points in enumerate(series.values()))
    text += f"set xlabel {quoted(xlabel)}\nset ylabel {quoted(ylabel)}\n" + key(series)
    if log:
        text += f"set logscale {log}\n"
    if "y" in log:
        text += "set format y '%.0s%c'\nset yrange [*:*]\n"
    else:
        text += f"set yrange [0:{1.1 * max([y for points in series.values() for _, y in points] + [0.1])}]\n"
    if places:
        text += "set xtics (" + ", ".join(f"'{place}' {place}" for place in places) + ")\n"
        text += f"set xrange [{min(places) * 0.9}:{max(places) * 1.06}]\n"
    return draw(name, text + "plot " + ", ".join(f"$d{i} with linespoints lw 2.5 pt {POINTS[i % 5]} ps 0.8 dt {1 + i % 5} {colour(i)} title {quoted(title)}"
                                                  for i, title in enumerate(series)) + "\n")


def bars(name, groups, titles, ylabel, log=False, values=False):
    """groups: {label: [a value each of titles, or None]}"""
    width = 0.8 / len(titles)
    rows = [(i, *["NaN" if value is None else value for value in group]) for i, group in enumerate(groups.values())]
    text = block("d", rows) + f"set ylabel {quoted(ylabel)}\nset boxwidth {width * 0.92}\n"
    text += "set xtics (" + ", ".join(f"{quoted(label)} {i}" for i, label in enumerate(groups)) + ")\n"
    longest = max(map(len, groups))
    text += "set xtics rotate by -32 left\n" if longest * len(groups) > 44 else ""
    text += f"set rmargin {max(2, min(12, longest // 2))}\n" if longest * len(groups) > 44 else ""
    found = [value for group in groups.values() for value in group if value is not None]
    top, least = max(found + [0.01]), min([value for value in found if value > 0] + [1])
    text += f"set xrange [-0.6:{len(groups) - 0.4}]\n"
    text += "set logscale y\nset format y '%g'\n" if log else ""
    text += f"set yrange [{least / 2 if log else 0}:{top * (2 if log else 1.15)}]\n" + key(titles)
    plots = [f"$d using ($1+{(i - (len(titles) - 1) / 2) * width}):{i + 2} with boxes {colour(i)} title {quoted(title)}" for i, title in enumerate(titles)]
    if values:
        plots += [f"$d using ($1+{(i - (len(titles) - 1) / 2) * width}):{i + 2}:(sprintf(${i + 2} >= 1000 ? '%.0f' : '%.3g', ${i + 2})) with labels offset 0,0.6 "
                  "tc rgb '#0000e2' font ',11' notitle" for i in range(len(titles))]
    return draw(name, text + ("unset key\n" if titles == [""] else "") + "plot " + ", ".join(plots) + "\n")
