"""
The shadow TLB finds nothing to report of the kernel as it is, and is not silent because it is blind: with one kind of fence hidden
from it, it reports. With defects in the kernel itself: scripts/torture defects.
"""
import os
import secrets

import pytest

from torture_lib import defects, seeding, shadow

BUILD = os.path.abspath(os.environ.get("CORRAL_BUILD", os.path.join(shadow.ROOT, "build")))
SEED = os.environ.get("CORRAL_SEED") or str(secrets.randbelow(1 << 31))


@pytest.mark.parametrize("program,args,append", [("storm", (SEED,), ""), ("storm", (SEED,), "tlb=rfence"), ("table_churn", (), ""),
                                                 ("file_storm", (SEED,), "fork=all"), ("cow_racer", (), "")])
def test_no_stale_translation(program, args, append):
    done = shadow.run(BUILD, program, *args, append=append)
    assert done.good and done.complete and done.total == 0, done
    assert done.seen["walks"] > 1000 and done.seen["withdrawn"] > 1000 and done.seen["returns"] > 1000, done
    assert done.seen["page fences"] > 100 and done.seen["asid fences"] > 100, done


@pytest.mark.parametrize("program,args", [("switch_storm", (SEED,)), ("cow_racer", ())])
def test_harts_that_stop(program, args):
    """At random, where others may come between (tests/plugin/delay.c)."""
    done = shadow.run(BUILD, program, *args, delay=f"seed={SEED},one-in=50,most=60")
    assert done.good and done.complete and done.total == 0, done


@pytest.mark.parametrize("ignore", ("page", "asid", "hart1"))
def test_a_fence_that_is_left_out_is_missed(ignore):
    done = shadow.run(BUILD, "cow_threads", ignore=ignore)
    assert done.good and done.total > 0, done


def test_the_known_defects_can_be_put_in():
    """scripts/torture defects tries them; here only that each still finds the text that it changes."""
    assert len(defects.DEFECTS) >= 12 and seeding.applies(defects.DEFECTS + defects.RACES) == []
