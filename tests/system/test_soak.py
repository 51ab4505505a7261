"""Everything together, for two rounds: tests/user/soak.c, which scripts/torture soak runs for an hour."""
import os
import re
import secrets

SEED = os.environ.get("CORRAL_SEED") or str(secrets.randbelow(1 << 31))
PROGRAMS = ("storm @ 2 3 60", "switch_storm @", "file_storm @ /tmp 60 3", "fork_storm", "fuzz_sockets @")


def test_two_rounds(corral, programs):
    files = [f"{programs / name.split()[0]}:/bin/{name.split()[0]}" for name in PROGRAMS]
    done = corral(programs / "soak", "2", SEED, *("/bin/" + name for name in PROGRAMS), harts=4, append="audit=on", files=files)
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, (SEED, done)
    rounds = re.findall(r"^round (\d) programs 5 guest \d+ used \d+ free (\d+) cached 0 volumes 0$", done.out, re.MULTILINE)
    assert [number for number, _ in rounds] == ["0", "1"], done
    assert abs(int(rounds[0][1]) - int(rounds[1][1])) < 64, done
