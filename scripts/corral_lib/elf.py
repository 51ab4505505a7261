"""What scripts/corral must know of an executable: whether the machine can run it."""
import struct

EM_RISCV = 243
ET_EXEC, ET_DYN = 2, 3
PT_INTERP = 3


class NotRunnable(Exception):
    """Says in one line why a file cannot be run."""


def check_program(path):
    """Raises NotRunnable unless the file is a static 64-bit RISC-V Linux executable."""
    try:
        with open(path, "rb") as file:
            header = file.read(64)
            check_header(path, header)
            offset, = struct.unpack_from("<Q", header, 32)
            size, count = struct.unpack_from("<HH", header, 54)
            file.seek(offset)
            table = file.read(size * count)
    except (OSError, ValueError) as error:
        raise NotRunnable(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if size < 56 or len(table) < size * count:
        raise NotRunnable(f"{path}: its program headers are cut off")
    kinds = [struct.unpack_from("<I", table, i * size)[0] for i in range(count)]
    if PT_INTERP in kinds:
        raise NotRunnable(f"{path}: is dynamically linked; Corral runs static executables (link with -static)")


def check_header(path, header):
    if header[:4] != b"\x7fELF":
        raise NotRunnable(f"{path}: is not an ELF executable")
    if len(header) < 64:
        raise NotRunnable(f"{path}: its ELF header is cut off")
    kind, machine = struct.unpack_from("<HH", header, 16)
    if header[4] != 2 or header[5] != 1 or machine != EM_RISCV:
        raise NotRunnable(f"{path}: is not for riscv64 (ELF class {header[4]}, machine {machine}); "
                          "build it with riscv64-linux-gnu-gcc -static")
    if kind not in (ET_EXEC, ET_DYN):
        raise NotRunnable(f"{path}: is not an executable (ELF type {kind})")
