"""The report's page: one file, nothing from elsewhere."""
import html
import re

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --card: #ffffff; --text: #1d2327; --soft: #5a646c; --grid: #e4e7e9; --axis: #9aa3a9; --line: #dde1e4;
 --c1: #0b6fb8; --c2: #d1560a; --c3: #17855b; --c4: #9b3fa0; --c5: #b08a00; --c6: #5b6bd6; --c7: #a33; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181b; --card: #1b2125; --text: #e6eaec; --soft: #a2adb4; --grid: #2c343a; --axis: #6d7981; --line: #2f383e;
 --c1: #5cb3f2; --c2: #ff9a57; --c3: #4fcf9b; --c4: #d98be0; --c5: #e5c54a; --c6: #98a4ff; --c7: #ff8f8f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1.02rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; } .soft, figcaption, small { color: var(--soft); } figcaption { font-size: .88rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .9rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
svg { display: block; width: 100%; height: auto; color: var(--text); } svg text { fill: var(--text); font-family: system-ui, sans-serif; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(145px, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .8rem; } .tile b { display: block; font-size: 1.45rem; line-height: 1.2; }
.tile small { display: block; font-size: .8rem; }
.wide { overflow-x: auto; max-width: 100%; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: var(--soft); font-weight: 600; } details { margin-top: .5rem; } summary { cursor: pointer; color: var(--soft); font-size: .88rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; font-size: .88rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.linux { color: var(--c2); font-weight: 600; } code { font-size: .9em; }
@media (max-width: 520px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .3rem; } h1 { font-size: 1.4rem; } figure { padding: .6rem; } }
@media print { :root { color-scheme: light; --paper: #fff; --card: #fff; --text: #000; --soft: #444; --grid: #ddd; --axis: #777; --line: #ccc; --c1: #0b6fb8; --c2: #d1560a; --c3: #17855b; --c4: #9b3fa0;
 --c5: #b08a00; --c6: #5b6bd6; --c7: #a33; }
 main { max-width: none; padding: 0; } body { font-size: 10.5pt; } figure, .tile, tr { break-inside: avoid; } .plots { grid-template-columns: 1fr 1fr; } details > *:not(summary) { display: block; }
 h2 { break-after: avoid; } }
"""


def text(value):
    return html.escape(str(value))


def table(heads, rows, mark=None):
    """mark: cells with this text stand out."""
    def cell(value):
        return f'<td class="linux">{text(value)}</td>' if mark and str(value) == mark else f"<td>{text(value)}</td>"
    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>\n" for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{"".join(f"<th>{text(head)}</th>" for head in heads)}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def figure(name, title, svg, caption, data=""):
    more = f"<details><summary>The figures</summary>{data}</details>" if data else ""
    return (f'<figure id="{text(name)}"><h3>{text(title)}</h3>\n{svg}\n<figcaption>{text(caption)}</figcaption>{more}</figure>\n')


def tiles(found):
    return '<div class="tiles">' + "".join(f'<div class="tile"><b>{text(value)}</b>{text(what)}<small>{text(than)}</small></div>'
                                           for value, what, than in found) + "</div>\n"


def terms(pairs):
    return "<dl>" + "".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>\n" for key, value in pairs if value not in (None, "", [])) + "</dl>\n"


def page(title, lead, parts):
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{text(title)}</h1>\n<p class=\"soft\">{text(lead)}</p>\n"
            + "".join(parts) + "</main>\n</body>\n</html>\n")


def alone(svg):
    """An SVG of the page as a file of its own, with the page's colours."""
    colours = [f"svg {{ {rule} }}" for rule in re.findall(r":root \{ ([^}]*) \}", STYLE)[:2]]
    style = f"<style>{colours[0]} @media (prefers-color-scheme: dark) {{ {colours[1]} }} text {{ fill: var(--text); font-family: sans-serif; }}</style>"
    svg = svg.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1).replace("href=", "xlink:href=")
    return svg.replace(">", ">" + style, 1)
