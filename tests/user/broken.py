"""Executables that execve must refuse, made from one that it takes: for exec.c, here and in make conformance."""
import struct


def broken_executables(directory, good):
    """Variants of a good executable; the name says how execve must refuse it ("late": or what is run ends by a signal)."""
    image = good.read_bytes()
    first = struct.unpack_from("<Q", image, 32)[0]
    headers = [first + i * 56 for i in range(struct.unpack_from("<H", image, 56)[0])]
    load = next(at for at in headers if struct.unpack_from("<I", image, at)[0] == 1)

    def patched(at, form, value):
        copy = bytearray(image)
        struct.pack_into(form, copy, at, value)
        return bytes(copy)

    variants = {
        "noexec-empty": b"",
        "noexec-text": b"hello, this is no program\n" * 20,
        "noexec-short": image[:40],
        "noexec-magic": patched(0, "<B", 0x7E),
        "noexec-class32": patched(4, "<B", 1),
        "noexec-machine": patched(18, "<H", 62),
        "noexec-relocatable": patched(16, "<H", 1),
        "noexec-phentsize": patched(54, "<H", 32),
        "late-no-headers": patched(56, "<H", 0),
        "late-headers-beyond": patched(32, "<Q", 1 << 40),
        "late-truncated": image[:5000],
        "late-kernel-address": patched(load + 16, "<Q", 0xFFFFFFC080200000),
        "late-first-page": patched(load + 16, "<Q", 0),
        "late-huge": patched(load + 40, "<Q", 1 << 62),
        "late-file-larger": patched(load + 32, "<Q", 1 << 40),
        "late-offset-beyond": patched(load + 8, "<Q", 1 << 40),
        "late-entry-kernel": patched(24, "<Q", 0xFFFFFFC080200000),
        "late-entry-nowhere": patched(24, "<Q", 16),
        "noaccess-mode": image,
    }
    for name, data in variants.items():
        path = directory / name
        path.write_bytes(data)
        path.chmod(0o644 if name.startswith("noaccess") else 0o755)
    return sorted(variants)
