"""What `corral shell` puts into the guest: Debian's static busybox, and a script that makes its links."""
import os
import subprocess

from . import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PACKAGE = "busybox-static"
INIT = "/bin/sh"
START = "/etc/start"
TOOLS = ("corral-top", "corral-map")  # of user/
# Process 1, whose status is the machine's. The shell is not process 1 itself, but leads a session of its own that has the
# terminal: the groups of children of process 1 count as orphaned, and cannot be stopped.
SCRIPT = """\
/bin/busybox --install -s /bin
[ $# -gt 0 ] && exec "$@"
setsid -c sh
"""

DESCRIPTION = """\
NAME
  corral shell - boot Corral in QEMU and use it from a shell

DESCRIPTION
  Boots the kernel with Debian's static busybox (package busybox-static for riscv64, fetched
  once to build/debian and verified), and its shell on this terminal: jobs, pipes, Ctrl-C,
  line editing. All keys go to the guest but Ctrl-], which ends the machine at once. `exit`
  or Ctrl-D ends the shell, and with it the machine. Where standard input is no terminal, the
  shell reads it as a script.
"""
EPILOG = """\
EXIT STATUS
  The shell's, or the COMMAND's; 130 on Ctrl-]; 125, 124, 2 as for corral run.

EXAMPLES
  corral shell
      then: corral-top, corral-map self; what memory is used for, and a process's page table
  corral shell
      then: ls -l /proc/self/fd | sort; cat /proc/self/maps; sleep 100 & jobs
  corral shell --file ./hello:/bin/hello --harts 8
      with a program of your own
  corral shell -- sh -c 'dmesg; free; ps'
      some commands, and the end
  echo 'cat /proc/meminfo' | corral shell
      the same from a script
"""


def busybox():
    """The path of the package's program; fetched when it is not there."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "fetch"), "deb", PACKAGE, PACKAGE], stdout=subprocess.PIPE,
                          text=True, check=False)
    path = os.path.join(done.stdout.strip(), "usr", "bin", "busybox")
    if done.returncode != 0 or not os.path.isfile(path):
        raise machine.MachineFailed(f"{PACKAGE} is not there and could not be fetched")
    return path


def fill(archive, args):
    archive.add(busybox(), "/bin/busybox", 0o755)
    archive.add_link(INIT, "busybox")
    archive.add_bytes(START, SCRIPT.encode(), 0o755)
    args.program = [INIT, START] + args.program
