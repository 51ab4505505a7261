"""Interrupts and fences an operation, on several numbers of harts, with what each should be: docs/benchmarks.md explains them."""
from perf_lib import runs

HARTS = (2, 4, 8)
WAYS = ("ipi", "rfence")
PATTERN = r"^((munmap|mprotect)/pages:(1|512)|cow_disjoint|fault_disjoint|cow_siblings)/harts:{harts}$"
ALONE = r"^(cow_copy|cow_reuse|fork_write)$"
OPTIONS = ["--repetitions=3", "--min-time=100us", "--max-time=5s"]


def expected(name, harts):
    """
    Interrupts an operation that nobody can do without. Spinning threads may hold any translation of their space that they have
    used; they have used none of the memory that is unmapped, protected or copied here. So an ideal is 0 wherever the kernel can
    know that; `spinning` is what a kernel sends that asks each hart that runs the space, once a call.
    """
    if name.startswith(("munmap", "mprotect")):
        return {"ideal": 0, "spinning": harts - 1 if name.startswith("munmap") else harts - 1}
    if name.startswith("cow_disjoint"):
        return {"ideal": 0, "spinning": harts - 1}
    return {"ideal": 0, "spinning": 0}


def measure(args, harts_list=HARTS):
    """Rows: way, harts, name, IPIs and fences an operation, what is expected."""
    rows = []
    for way in WAYS:
        for harts in harts_list:
            runs.note(f"shootdown: tlb={way}, {harts} harts")
            done = runs.bench(args, harts, f"{ALONE}|{PATTERN.format(harts=harts)}", [*OPTIONS, f"--harts={harts}"],
                              icount=False, append=f"tlb={way}")
            for name, values in done.items():
                if values is not None:
                    rows.append({"tlb": way, "harts": harts, "name": name, "ipis": values.get("ipis"),
                                 "remote_fences": values.get("remote_fences"), "local_fences": values.get("local_fences"),
                                 **expected(name, harts)})
    return rows
