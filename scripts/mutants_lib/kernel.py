"""What the host tests let through, in the kernel itself: programs of tests/user that come by there, on 1 and 4 harts; then under the shadow TLB."""
import os
import subprocess
import sys

from corral_lib import jobs
from mutants_lib import changes
from torture_lib import seeding, shadow

ROOT = shadow.ROOT
sys.path.insert(0, os.path.join(ROOT, "tests", "user"))
from cases import CASES, FEW  # noqa: E402  pylint: disable=wrong-import-position

FORK = "cow_fork cow_chain fork_storm cow_last_ref madvise_fork cow_threads"
FILES = "files fsx file_storm file_cut shared_anon"
RANGES = "munmap_split mprotect_split map_many table_churn dontneed_race"
FENCES = "shootdown_munmap shootdown_mprotect cow_threads switch_storm stale_frame exec_pages"
PROGRAMS = {
    "around": "exec_pages residency smaps", "asid": "space_switch switch_storm", "buddy": "oom", "cleared": "oom", "clone": "file_clone file_race", "coremap": "oom " + FORK,
    "dirty": FILES, "edit": "mmap_errors big_reserve mremap " + RANGES, "evict": FILES, "fault": FORK + " cow_racer zero_page fault_same_page", "force": "proc_mem file_force",
    "fork": FORK, "fork_hot": FORK, "fork_leaf": FORK, "grow": "stack_grow stack_lost brk", "hart": FENCES, "index": FILES + " file_clone", "index_marks": FILES,
    "index_visit": FILES, "leaf": RANGES + " shootdown_munmap", "locked": "mlock smaps limits", "mapping": "mseal shm " + RANGES, "move": "mremap", "object": FILES,
    "place": "mmap_errors map_many big_reserve", "protect": "mprotect_split shootdown_mprotect write_execute mdwe", "pte": FORK, "range": RANGES + " " + FORK, "remove": FILES,
    "replace": RANGES + " shootdown_munmap", "reverse": "file_cut file_clone fsx", "seal": "mseal", "share": FORK, "slab": "map_many", "space": "exec_storm space_switch limits",
    "table": "table_churn " + RANGES, "tlb": FENCES + " membarrier", "transfer": "files fsx pipes", "user": "user_copy bad_pointers futex process_vm", "view": "cow_threads table_churn",
    "walk": "table_churn cow_threads",
}
EVERYWHERE = "storm oom leftovers"
SHADOWED = "asid edit fault fork fork_leaf hart leaf move protect range replace share table tlb view walk".split()


def _stem(mutant):
    return os.path.basename(mutant["file"]).rsplit(".", 1)[0]


class Kernel:
    """build: has the programs of tests/user, and perf/shadow.so."""

    def __init__(self, build, name):
        self.build = os.path.abspath(build)
        self.tree = seeding.Tree(self.build, name)
        self.tree.make("WARNINGS=-w")

    def _pytest(self, runs):
        env = dict(os.environ, CORRAL_BUILD=self.build, CORRAL_KERNEL=self.tree.kernel, CORRAL_SEED="7")
        ids = [f"tests/user/test_user.py::test_program[{name}-{harts}]" for name, harts in runs]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *ids]
        with jobs.session(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            return subprocess.CompletedProcess(command, stdout=process.communicate()[0], returncode=process.returncode)

    def _programs(self, mutant, harts):
        names = dict.fromkeys((PROGRAMS.get(_stem(mutant), FORK) + " " + EVERYWHERE).split())
        runs = [(name, n) for name in names for n in harts if n in CASES[name].get("harts", FEW)]
        done = self._pytest(runs)
        if done.returncode == 0:
            return None
        failed = [line for line in done.stdout.split("\n") if line.startswith("FAILED")]
        if not failed:
            raise seeding.Seeding(done.stdout[-1000:])
        name, n = failed[0].split("[", 1)[1].split("]")[0].rsplit("-", 1)
        if "status 124" in done.stdout and self._pytest([(name, n)]).returncode == 0:
            return None  # this machine was busy
        return f"{name} on {n} harts"

    def _shadowed(self, mutant):
        if _stem(mutant) not in SHADOWED:
            return None
        for name, args in (("storm", ("11",)), ("cow_threads", ()), ("table_churn", ())):
            done = shadow.run(self.build, name, *args, kernel=self.tree.kernel, timeout=300)
            if done.total or (not done.good and done.status != 124):
                return f"{name}: {done.reports[0].split(':')[0] if done.total else 'fails'}"
        return None

    def try_one(self, mutant):
        """-> (stage, how), or None"""
        before = changes.put(self.tree.root, mutant)
        try:
            self.tree.make("WARNINGS=-w")
            how = self._programs(mutant, (1, 4))
            if how:
                return "programs", how
            how = self._shadowed(mutant)
            return ("shadow TLB", how) if how else None
        except seeding.Seeding as error:
            return "programs", f"does not build: {str(error)[-200:]!r}"
        finally:
            changes.write(os.path.join(self.tree.root, mutant["file"]), before)
