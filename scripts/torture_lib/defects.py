"""
Defects of the kind that the shadow TLB is there for: each is a change of a line or two of the kernel's text, made to a copy of the tree, and
a program that comes by there. A text that is not there any more fails: whoever changes it changes the defect.
"""
import collections

Run = collections.namedtuple("Run", "program args harts append", defaults=((), 4, ""))
Defect = collections.namedtuple("Defect", "name what changes runs")


def one(name, what, path, old, new, *runs):
    return Defect(name, what, ((path, old, new),), runs)


STORM = Run("storm", ("11",))
DEFECTS = (
    one("others-not-asked", "a missing fence: no other hart is asked", "mm/tlb.c",
        "uint64_t harts = targets(space, holders);", "uint64_t harts = targets(space, holders) & 0;", Run("cow_threads")),
    one("own-fence-missing", "a missing fence: the hart that breaks copy-on-write does not fence itself", "mm/tlb.h",
        "\thw_fence_page(va, space->asid);\n", "\t(void)va;\n\t(void)space;\n", Run("cow_fork", harts=1)),
    one("fence-before-store", "the fence comes before the store: a copy is published behind it", "mm/fault.c",
        "\tpte_swap(slot, pte_leaf(new, pte.v & (PTE_R | PTE_X | PTE_MAYWRITE)));\n\ttlb_shootdown_page(mine, space, frame, va);\n",
        "\ttlb_shootdown_page(mine, space, frame, va);\n\tpte_swap(slot, pte_leaf(new, pte.v & (PTE_R | PTE_X | PTE_MAYWRITE)));\n",
        Run("cow_fork", harts=1)),
    one("page-fence-for-table", "rs1 is not x0 after a change above the leaves", "mm/range.c",
        "tlb_shootdown(range->space, range->holders, VADDR(range->start), 0);",
        "tlb_shootdown(range->space, range->holders, VADDR(range->start), PAGE_SIZE);", Run("table_churn")),
    one("wrong-asid", "the others fence another ASID", "mm/tlb.c",
        "mine->asid = space->asid;", "mine->asid = (uint16_t)(space->asid + 1);", Run("cow_threads")),
    one("freed-before-fence", "munmap frees its frames, and then shoots down", "mm/leaf.c",
        "\tif (leaf_park(table, first, last))\n\t\ttlb_shootdown(space, frame_of(table)->table.harts, VADDR(start), end - start);\n"
        "\tleaf_sweep(table, first, last, &gone);\n",
        "\tbool parked = leaf_park(table, first, last);\n\n\tleaf_sweep(table, first, last, &gone);\n\tif (parked)\n"
        "\t\ttlb_shootdown(space, frame_of(table)->table.harts, VADDR(start), end - start);\n", Run("shootdown_munmap")),
    one("discarded-before-fence", "MADV_DONTNEED frees its frames, and then shoots down", "mm/edit.c",
        "\t\trange_shootdown(&range);\n\t\tif (err == 0)\n\t\t\terr = range_each(&range, discard_run, &hole);\n",
        "\t\tif (err == 0)\n\t\t\terr = range_each(&range, discard_run, &hole);\n\t\trange_shootdown(&range);\n", Run("dontneed_race")),
    one("hart-left-out", "hart 1 is not in the mask of those that are asked", "mm/tlb.c",
        "return active & may;", "return active & may & ~UINT64_C(2);", Run("cow_threads")),
    one("answered-without-fence", "a hart answers a request without having fenced", "mm/tlb.c",
        "\tfence(VADDR(asker->start), asker->bytes, asker->asid);\n", "", Run("cow_threads")),
    one("range-short", "of a range of pages the first one is not fenced", "mm/tlb.c",
        "for (uint64_t at = 0; at < bytes; at += PAGE_SIZE)", "for (uint64_t at = PAGE_SIZE; at < bytes; at += PAGE_SIZE)", STORM),
    one("resting-forgotten", "a hart that is in another space is not noted as having to flush", "mm/tlb.c",
        "\t\tatomic_fetch_and_explicit(&space->cached, ~resting, memory_order_seq_cst);\n", "", STORM),
    one("asid-not-flushed", "a hart uses an ASID that another space had without flushing it", "mm/tlb.c",
        "\t\tatomic_fetch_or_explicit(&space->cached, me, memory_order_seq_cst);\n\t\thw_fence_asid(space->asid);\n",
        "\t\tatomic_fetch_or_explicit(&space->cached, me, memory_order_seq_cst);\n", Run("fork_storm")),
    one("fork-keeps-writing", "fork takes the right to write away and does not say so", "mm/fork_leaf.c",
        "\t\tfork->range.revoked = true;\n", "\t\t(void)fork;\n", Run("cow_fork", append="fork=cow")),
    one("fork-keeps-tables", "fork detaches tables and does not say so", "mm/fork.c",
        "\t\tfork->range.unlinked = true;\n", "\t\t(void)fork;\n", Run("fork8", append="fork=all")),
    one("mprotect-keeps-rights", "mprotect takes rights away and does not shoot down", "mm/protect.c",
        "\t\tprotect->revoked = true;\n", "", Run("mprotect_split")),
    one("mremap-keeps-old", "mremap does not shoot down what it moves", "mm/move.c",
        "\trange_shootdown(range);\n\tmove->leaf_at = 1;\n",
        "\trange->revoked = range->unlinked = false;\n\tmove->leaf_at = 1;\n", Run("mremap")),
    one("view-not-noted", "a hart's view leads to a table that does not know of the hart", "mm/view.c",
        "\tframe_of(table)->table.harts |= UINT64_C(1) << hw_hart();\n", "", Run("cow_threads")),
    one("view-leads-on", "a table is unlinked from its space, not from the harts' views", "mm/range.c",
        "\t\tview_unlink(range->space, table, va);\n", "\t\t(void)va;\n", Run("table_churn")),
    one("firmware-mask-short", "of the harts that the firmware is asked to fence the first is left out", "mm/tlb.c",
        "hw_remote_fence(harts, start, bytes, space->asid);", "hw_remote_fence(harts & (harts - 1), start, bytes, space->asid);",
        Run("cow_threads", append="tlb=rfence")),
)

# Races: what is taken away is what closes a window of a few instructions. Harts are stopped there at random (tests/plugin/delay.c), several times.
SWITCHES = tuple(Run("switch_storm", (str(seed),), 4) for seed in (6, 7))
THREADS = (Run("switch_storm", ("5",), 4), Run("storm", ("11",), 4), Run("table_churn", (), 4), Run("cow_racer", (), 4))
RACES = (
    one("two-looks", "a hart that leaves a space between a shootdown's two looks is not asked (as it was, before 21f5aa9)", "mm/tlb.c",
        "\t\tactive |= atomic_load_explicit(&space->active, memory_order_seq_cst);",
        "\t\tactive = atomic_load_explicit(&space->active, memory_order_seq_cst);", *SWITCHES),
    one("left-too-early", "a hart says that it has left a space before it has", "mm/tlb.c",
        "\tmine->space = next;\n\tif (next != NULL)\n",
        "\tmine->space = next;\n\tif (last != NULL)\n\t\tleave(last);\n\tif (next != NULL)\n",
        *THREADS),
    one("answered-too-early", "a hart answers a request, and fences then", "mm/tlb.c",
        "\tfence(VADDR(asker->start), asker->bytes, asker->asid);\n"
        "\t/* release: our fence is done; pairs with the acquire in tlb_shootdown */\n"
        "\tatomic_fetch_and_explicit(&asker->waiting, ~me, memory_order_release);\n",
        "\tuint64_t start = asker->start, bytes = asker->bytes;\n\tuint16_t asid = asker->asid;\n\n"
        "\tatomic_fetch_and_explicit(&asker->waiting, ~me, memory_order_release);\n\tfence(VADDR(start), bytes, asid);\n", *THREADS),
    one("no-quiescence", "tables are freed without waiting for those that walk through them", "mm/range.c", "\twalk_wait();\n", "", *THREADS),
    one("stale-not-seen", "who gets the lock of a table does not look whether it was unlinked meanwhile", "mm/walk.h",
        "bool good = !frame->table.stale && walk_forks(space) == forks &&", "bool good = walk_forks(space) == forks &&", *THREADS),
    one("forks-not-seen", "nor whether fork has detached one above it", "mm/walk.h",
        "bool good = !frame->table.stale && walk_forks(space) == forks &&", "bool good = (!frame->table.stale || forks == ~0U) &&",
        Run("storm", ("11",), 4, "fork=all"), Run("cow_racer", (), 4, "fork=all"), Run("fork_signals", (), 4, "fork=all")),
    one("link-not-looked-at", "a hart links a table into its view and does not look whether it is still there", "mm/view.c",
        "if (UNLIKELY(!is_linked(space, table, va))) {", "if (UNLIKELY(!is_linked(space, table, va)) && va == 1) {",
        Run("storm", ("11",), 4, "fork=all"), Run("cow_racer", (), 4, "fork=all"), Run("table_churn", (), 4)),
    one("copy-writable-at-once", "a copy is writable before the others have dropped the old page", "mm/fault.c",
        "pte_leaf(new, pte.v & (PTE_R | PTE_X | PTE_MAYWRITE)));\n", "pte_leaf(new, (pte.v & (PTE_R | PTE_X | PTE_MAYWRITE)) | PTE_W));\n",
        Run("cow_racer", (), 4), Run("cow_threads", (), 4)),
)
