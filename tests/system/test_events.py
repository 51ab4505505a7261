"""What harts and firmware count, per benchmark: cycles, instructions, TLB misses, the firmware's IPIs and fences."""
import json

import pytest

FIRMWARE = {f"fw_{name}" for name in ("ipis_sent", "ipis_received", "fences_i_sent", "fences_i_received", "fences_sent", "fences_received",
                                      "fences_asid_sent", "fences_asid_received")}
MISSES = {"dtlb_read_misses", "dtlb_write_misses", "itlb_misses"}


def medians(corral, *args, **more):
    done = corral("bench", "--quick", "--format=json", *args, timeout=120, **more)
    assert done.status == 0 and "audit: ok" in done.log, done
    return {entry["run_name"]: entry for entry in json.loads(done.out)["benchmarks"] if entry.get("aggregate_name") == "median"}


def test_harts_count(corral):
    """One page is one TLB miss at least, and its clearing some hundred instructions."""
    fill = medians(corral, "--filter=^zero_fill$", append="audit=on")["zero_fill"]
    assert 1 <= fill["dtlb_write_misses"] < 10 and 64 < fill["instructions"] and fill["cycles"] > 0, fill
    assert FIRMWARE | MISSES <= set(fill), fill


def test_firmware_counts(corral):
    """Shootdowns by the SBI are fences that its firmware sends, on the main thread's hart or to it; those by IPI are not."""
    name, seen = "cow_disjoint/harts:2", {}
    for how in ("rfence", "ipi"):
        found = medians(corral, f"--filter=^{name}$", append=f"audit=on tlb={how}")[name]
        seen[how] = sum(found[f"fw_fences_{kind}"] for kind in ("sent", "received", "asid_sent", "asid_received"))
    assert seen["rfence"] > 0.005 and seen["ipi"] == 0, seen


@pytest.mark.parametrize("firmware", ("opensbi-1.1", "opensbi-1.6"))
def test_harts_that_do_not(corral, firmware):
    """A U54 has no such events: what there is not is not in the report; cycles and instructions are."""
    fill = medians(corral, "--filter=^zero_fill$", append="audit=on", options=["--machine", "sifive_u", "--firmware", firmware])["zero_fill"]
    assert not MISSES & set(fill) and FIRMWARE <= set(fill) and fill["instructions"] > 64, fill
