"""make sweep and make report: from made-up results, in headless Chromium where that is; the short runs by themselves."""
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import types
import xml.etree.ElementTree

import page_shots
import pytest
from conftest import BUILD, LONG, ROOT
from test_compare import bench

sys.path.insert(0, str(ROOT / "scripts"))
from perf_lib import plots, profile, record, report, runs, shootdown, sweep  # noqa: E402

SIZES = (0, 1, 16, 64, 256)
PLOTS = {"plot-fork", "plot-fault", "plot-shootdown", "plot-ipis", "plot-cow", "plot-sweep-fork", "plot-sweep-tlb"}
needs_chromium = pytest.mark.skipif(not page_shots.CHROMIUM, reason="needs chromium, which scripts/setup --optional installs")
needs_gnuplot = pytest.mark.skipif(not shutil.which("gnuplot"), reason="needs gnuplot: package gnuplot-nox")


def comparison():
    less = {"linux_never": "Corral"}
    rows = [{"name": f"{what}/MiB:{size}", "corral": 12000.0, "linux_never": 90000.0 + 30000 * size, "less": less} for what in report.FORKS for size in SIZES]
    rows.append({"name": "cow_copy", "corral": 1373.0, "linux_never": 700.0, "less": {"linux_never": "Linux"}})
    shared = [{"case": case, "harts": 2, "less": {"linux_never": dict.fromkeys(("ipis", "fences", "touches", "transfers"), "Corral")},
               "corral": dict.fromkeys(("ipis", "fences", "touches", "transfers"), 0.0), "linux_never": dict.fromkeys(("ipis", "fences", "touches", "transfers"), 1.5)}
              for case in ("fault_disjoint", "cow_disjoint", "munmap_disjoint")]
    return {"context": record.context(arguments=["--harts", "2"], linux_arguments="mitigations=off"), "linux": "6.12.1", "instructions": rows, "shared": shared,
            "wall": [{"name": "cow_copy", "harts": 2, "linux_by_corral": 3.0}], "artefacts": ["QEMU is no <processor>."], "failed": {}, "complete": True}


def swept(knob, values):
    results = {value: bench({"cow_copy": 1000.0 / (i + 1) if knob == "fork" else 1000.0, "zero_fill": 700.0}) for i, value in enumerate(values)}
    return {"context": record.context(arguments=[knob]), "knob": knob, "values": list(values), "harts": 2, "results": results,
            "counted": {value: bench({"munmap/pages:512/harts:2": 1.0}) for value in values},
            "asked": {value: {"own_range/1": i} for i, value in enumerate(values)} if knob == "tlb" else {}, "failed": {}, "complete": True}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A folder of results, and nothing that runs a machine."""
    def no(*_, **__):
        raise runs.Failed("runs nothing")
    monkeypatch.setattr(runs, "corral", no)
    kept = {"commit": record.context()["commit"], "profile": {"case": "cow_disjoint", "parts": dict(zip(profile.PARTS, (20.0, 58.0, 95.0, 89.0, 57.0, 1054.0, 15.0))),
                                                              "functions": [{"part": "copy", "at": "page.S:page_copy_plain", "count": 1051.0}]},
            "faults": {str(n): dict.fromkeys(report.FAULTS, 800.0 + n) for n in report.HARTS},
            "shootdown": [{"case": case, "harts": n, "ipis": n - 1.0, "remote_fences": 0.0} for case in report.SHOT for n in (2, 4, 8)]}
    for name, content in (("compare", comparison()), ("sweep-fork", swept("fork", ("eager", "cow", "tables"))), ("sweep-tlb", swept("tlb", ("ipi", "rfence"))),
                          ("report", kept)):
        record.save(str(tmp_path / "results" / f"{name}.json"), content)
    return types.SimpleNamespace(build=str(tmp_path), kernel="/nowhere/Image", fresh=False, most_harts=8, mem="512M", timeout=10)


@pytest.fixture
def html(build, tmp_path):
    results = report.gather(build, lambda name: pytest.fail(f"measures {name}"))
    path = tmp_path / "report.html"
    path.write_text(report.make(results), encoding="utf-8")
    return path


@needs_gnuplot
def test_the_page_has_all_and_needs_nothing(html):
    text = html.read_text(encoding="utf-8")
    assert set(re.findall(r'<figure id="([\w-]+)"', text)) == PLOTS and text.count("<svg") == len(PLOTS)
    assert not re.search(r"(src|href)=[\"'](?!#)|url\(|@import|<script", text)
    assert "cow_copy: 700 instructions, Corral 1,373" in text and "QEMU is no &lt;processor&gt;." in text and "6.12.1" in text and "--harts 2" in text
    for colour in ("--c1", "--grid", "--text"):
        assert f"var({colour})" in text
    assert not re.search(r"rgb\(\s*0,\s*0,\s*2[234]\d\)", text), "a marker colour is left"
    ids = re.findall(r"\sid=['\"]([^'\"]+)", text)
    assert len(ids) == len(set(ids))


@needs_gnuplot
def test_plots_as_files(build, tmp_path, monkeypatch, capsys):
    """make report PLOTS=: each is an SVG by itself, with the colours that it uses."""
    loader = importlib.machinery.SourceFileLoader("report_script", str(ROOT / "scripts" / "report"))
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("report_script", loader))
    loader.exec_module(script)
    folder = tmp_path / "two words" / "plots"
    monkeypatch.setattr(sys, "argv", ["report", "--build", build.build, "--svg", str(folder)])
    assert script.main() == 0 and "report.html" in capsys.readouterr().err
    assert {f"plot-{path.stem}" for path in folder.iterdir()} == PLOTS
    for path in folder.iterdir():
        root, text = xml.etree.ElementTree.parse(path).getroot(), path.read_text(encoding="utf-8")
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox")
        used, known = set(re.findall(r"var\((--\w+)\)", text)), set(re.findall(r"(--\w+):", text))
        assert {"--text", "--c1"} <= used <= known, path
    monkeypatch.setattr(sys, "argv", ["report", "--build", build.build, "--svg", str(folder / "cow.svg")])
    assert script.main() == 1 and "cow.svg: File exists" in capsys.readouterr().err
    done = subprocess.run(["make", "-n", "report", "PLOTS=two words", f"O={build.build}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "--svg 'two words'" in done.stdout, done


@needs_gnuplot
def test_missing_files_leave_the_rest(build):
    os.remove(os.path.join(build.build, "results", "compare.json"))
    os.remove(os.path.join(build.build, "results", "sweep-fork.json"))
    results = report.gather(build, lambda _: None)
    assert results["failed"] == {"forks": "runs nothing"}
    text = report.make(results)
    assert "plot-cow" in text and "plot-ipis" in text and "Not measured: forks" in text


@needs_gnuplot
def test_gnuplot_that_complains_is_told():
    with pytest.raises(runs.Failed):
        plots.draw("x", "plot nonsense\n")


@needs_gnuplot
@needs_chromium
@pytest.mark.parametrize("width,height,dark", [(1280, 1400, False), (390, 2000, False), (1280, 1400, True)], ids=["desktop", "phone", "dark"])
def test_in_a_browser(html, tmp_path, width, height, dark):
    with page_shots.judged(tmp_path):
        found, shot = page_shots.seen(html.read_text(encoding="utf-8"), tmp_path, width, height, dark)
        assert found["width"] == width and found["scroll"] <= width, found
        assert {figure["id"] for figure in found["figures"]} == PLOTS
        for figure in found["figures"]:
            assert figure["width"] > 0.7 * min(width, 430) and figure["height"] > 150 and figure["shapes"] > 5 and figure["texts"] > 5, figure
        mean, colours = page_shots.brightness(shot)
        assert colours > 40 and (mean < 70 if dark else mean > 215), (mean, colours)


@needs_gnuplot
@needs_chromium
def test_on_paper(html, tmp_path):
    """Black on white, however the screen is, with the plots' colours."""
    with page_shots.judged(tmp_path):
        pages, colours = page_shots.printed(html.read_text(encoding="utf-8"), tmp_path)
        assert 2 <= pages <= 8 and {(0, 0, 0), (11, 111, 184), (209, 86, 10)} <= colours and (20, 24, 27) not in colours, (pages, colours)


@pytest.mark.parametrize("what,why", [("#!/bin/sh\nexit 1\n", "chromium cannot be used"), ("#!/bin/sh\nsleep 1000 &\nwait\n", "chromium does not end"),
                                      ("#!/bin/sh\necho '<pre id=\"found\" hidden=\"\">{}</pre>'\n", "chromium cannot be used"), (None, "chromium cannot be used")],
                         ids=["fails", "hangs", "babbles", "gone"])
def test_a_browser_that_does_not_work_fails_nothing(tmp_path, monkeypatch, what, why):
    page, fake = tmp_path / "page.html", tmp_path / "chromium"
    page.write_text(page_shots.KNOWN)
    if what:
        fake.write_text(what)
        fake.chmod(0o755)
    monkeypatch.setattr(page_shots, "CHROMIUM", str(fake))
    monkeypatch.setattr(page_shots, "UNUSABLE", [])
    monkeypatch.setattr(page_shots, "LIMIT", 1)
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=why):
            test_in_a_browser(page, tmp_path, 390, 2000, False)


@pytest.mark.parametrize("what,said", [("exit 100", "cannot be had from the archive; the tests that want it are skipped"), ("true", "is installed")], ids=["not", "had"])
def test_a_browser_that_cannot_be_had_fails_nothing(tmp_path, what, said):
    """scripts/setup --optional, where nothing is installed and apt-get does that."""
    for name, text in (("dpkg-query", "exit 1"), ("apt-get", f'echo "$*" >>{tmp_path}/asked; {what}'), ("sudo", 'while [ "$1" = -n ]; do shift; done; exec "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([str(ROOT / "scripts" / "setup"), "--optional"], env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout == "" and f"setup: chromium-headless-shell {said}\n" in done.stderr, done
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all(("install" in line and "--no-remove" in line and "--no-install-recommends" in line) or line.startswith("update ") for line in asked)
    assert len(asked) == 2 and ("--download-only" in asked[0]) and ("update" in asked[1] or "--no-download" in asked[1]), asked


@needs_gnuplot
@needs_chromium
def test_a_page_that_is_wrong_is_told(html, tmp_path):
    """In a browser that works: it is no excuse."""
    html.write_text(html.read_text(encoding="utf-8").replace("</style>", "svg { width: 2000px !important }</style>", 1), encoding="utf-8")
    with pytest.raises(AssertionError):
        test_in_a_browser(html, tmp_path, 390, 2000, False)


@needs_gnuplot
def test_bars_that_can_be_seen_beside_others():
    """A knob that only fences tell of has those; bars of very different height are on a logarithmic scale, others not."""
    results = swept("asid", ("on", "off"))
    results["counted"] = {"on": bench({"fork_exit_wait/MiB:0": 1.0}), "off": bench({"fork_exit_wait/MiB:0": 1.0})}
    for entry in results["counted"]["off"]["benchmarks"]:
        entry["fences"] = 8.0
    assert "Fences an operation on 2 harts" in report.sweep_figure(results) and "Logarithmic" not in report.sweep_figure(results)
    assert report.wide({"a": [512, 1]}) and not report.wide({"a": [1, 0], "b": [3, None]})
    assert "nothing that is counted" in report.sweep_figure(swept("asid", ("on", "off")))


@needs_gnuplot
def test_interrupts_are_of_harts_that_linux_came_to():
    results = {"compare": comparison()}
    results["compare"]["shared"] += [row | {"harts": 8, "linux_never": None} for row in results["compare"]["shared"][:1]]
    results["compare"]["cut"] = ["Linux, THP never, 8 harts: no time was left for fault_disjoint (--timeout)"]
    found = report.ipi_figure(results)
    assert "operation, 2 harts that" in found and "no time was left for fault_disjoint" in found


# ---- What is measured for it

def test_a_fault_is_split_by_source():
    counts = {0x10: 20, 0xffffffc080200000: 100, 0xffffffc080200004: 50, 0xffffffc080200008: 30, 0xffffffc08020000c: 10, 0xffffffc080200010: 40, 0xffffffc080200014: 60}
    places = dict(zip(list(counts)[1:], ("page.S:page_copy_plain", "trap.S:trap_entry", "hw_arch.h:hw_fence_page", "coremap.c:frame_alloc", "walk.h:walk_leaf", "fault.c:space_fault")))
    found = profile.split(10, counts, places)
    assert found["parts"] == {"program": 2.0, "trap": 5.0, "walk": 4.0, "decide": 6.0, "allocation": 1.0, "copy": 10.0, "fence": 3.0}
    assert found["functions"][0] == {"part": "copy", "at": "page.S:page_copy_plain", "count": 10.0}


def test_a_fault_by_the_plugin(tmp_path):
    args = types.SimpleNamespace(build=str(BUILD), kernel=str(BUILD / "virt-release" / "Image"), mem="256M", timeout=60)
    parts = profile.cow_fault(args)["parts"]
    assert 1000 < parts["copy"] < 1200 and all(5 < parts[part] < 200 for part in profile.PARTS if part != "copy")
    with pytest.raises(runs.Failed):
        (tmp_path / "empty").write_text("")
        profile.read(tmp_path / "empty")


def test_sweep_by_itself(tmp_path):
    for name in ("user", "virt-release"):
        (tmp_path / name).symlink_to(BUILD / name)
    command = [str(ROOT / "scripts" / "sweep"), "--build", str(tmp_path), "--harts", "1", "--filter", "^cow_copy$", "fork"]
    done = subprocess.run([*command, "eager,never,tables"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "sweep: fork=never: " in done.stderr and "\033" not in done.stderr, done
    results = json.loads((tmp_path / "results" / "sweep-fork.json").read_text())
    assert not results["complete"] and list(results["results"]) == ["eager", "tables"]
    (heads, rows), = sweep.tables(results)
    assert heads[1:] == ("fork=eager", "fork=never", "fork=tables") and rows[0][2] == "-" and float(rows[0][1]) < 20 < float(rows[0][3].replace(",", ""))


def test_sweep_has_what_each_knob_is_about():
    """First stores after a rest, and whom a shootdown asks: of zero= and batch= nothing else would be seen."""
    args = types.SimpleNamespace(build=str(BUILD), kernel=str(BUILD / "virt-release" / "Image"), harts=2, mem="512M", timeout=60, knob="zero", qemu=None, qemu_args=None)
    rest = {value: sweep.rested(args, value) for value in ("pool", "demand")}
    assert rest["demand"]["of them in a page cleared ahead"] == 0 and rest["pool"]["of them in a page cleared ahead"] > 0.9
    assert rest["pool"]["first store after a rest"] < rest["demand"]["first store after a rest"] / 2
    args.knob = "batch"
    assert [sweep.asked(args, value)["used_spinning/512"] for value in ("256", "all")] == [2, 1]
    results = swept("batch", ("256", "all")) | {"asked": {"256": {"used_spinning/512": 2}, "all": {"used_spinning/512": 1}}}
    assert "other harts asked, an operation" in report.sweep_figure(results)


@LONG
def test_report_by_itself():
    done = subprocess.run([str(ROOT / "scripts" / "report"), "--build", str(BUILD), "--fresh", "--most-harts", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert {"plot-fork", "plot-fault", "plot-shootdown", "plot-ipis", "plot-cow"} <= set(
        re.findall(r'<figure id="([\w-]+)"', (BUILD / "results" / "report.html").read_text(encoding="utf-8")))
    assert set(report.SHOT) <= set(shootdown.EXPECTED)
