# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Function symbols of ELF files, and where a loaded kernel module's are."""

import bisect
import struct

SHF_ALLOC = 2
SHF_EXECINSTR = 4
SHT_PROGBITS, SHT_SYMTAB, SHT_NOBITS = 1, 2, 8
SHT_INIT_ARRAY, SHT_FINI_ARRAY = 14, 15
SHT_X86_64_UNWIND = 0x70000001
STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC = 0, 2, 10
STB_LOCAL = 0
ET_REL = 1

# What the kernel's linker for relocatable objects maps, in the order of the
# file, each section aligned as it asks for.
LOADED = (SHT_PROGBITS, SHT_NOBITS, SHT_X86_64_UNWIND, SHT_INIT_ARRAY, SHT_FINI_ARRAY)


class BadElf(Exception):
    """Not a file that this reads."""


class Elf:
    """The sections and function symbols of a little-endian 64-bit ELF file."""

    def __init__(self, data):
        if data[:6] != b"\x7fELF\x02\x01":
            raise BadElf("not a little-endian 64-bit ELF file")
        self.type = struct.unpack_from("<H", data, 16)[0]
        (offset,) = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        self.sections = [
            struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)
        ]
        self.data = data

    def functions(self):
        """(section, value, name) of each function; labels in code count."""
        for section in self.sections:
            if section[1] != SHT_SYMTAB:
                continue
            names = self.sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], section[9]):
                name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
                if not 0 < index < len(self.sections):
                    continue
                if not self.sections[index][2] & SHF_EXECINSTR:
                    continue
                kind, binding = info & 15, info >> 4
                if kind not in (STT_FUNC, STT_GNU_IFUNC) and not (
                    kind == STT_NOTYPE and binding != STB_LOCAL
                ):
                    continue
                end = self.data.index(b"\0", names + name)
                yield index, value, self.data[names + name : end].decode("ascii", "replace")

    def load_addresses(self, base):
        """The address of each section of a relocatable file loaded at base."""
        address = base
        found = {}
        for i, section in enumerate(self.sections):
            if not section[2] & SHF_ALLOC or section[1] not in LOADED:
                continue
            align = max(1, section[8])
            address = (address + align - 1) // align * align
            found[i] = address
            address += section[5]
        return found

    def code_ends(self, base):
        """Ends of executable sections, past which no symbol reaches."""
        if self.type != ET_REL:
            return [s[3] + s[5] for s in self.sections if s[2] & SHF_EXECINSTR]
        return [
            a + self.sections[i][5]
            for i, a in self.load_addresses(base).items()
            if self.sections[i][2] & SHF_EXECINSTR
        ]

    def placed(self, base):
        """(address, name) of each function."""
        if self.type != ET_REL:
            for _, value, name in self.functions():
                yield value, name
            return
        where = self.load_addresses(base)
        for index, value, name in self.functions():
            if index in where:
                yield where[index] + value, name


class Table:
    """From an address to the function that it is in."""

    # Half of the address space is the program's.
    USER_END = 1 << 47

    def __init__(self):
        self.at = {}

    def add(self, elf, name, base=0):
        for address, function in elf.placed(base):
            known = self.at.get(address)
            # Of several names the first in the alphabet, so that reports agree.
            if known is None or known[1] is None or function < known[1]:
                self.at[address] = (name, function)
        for end in elf.code_ends(base):
            self.at.setdefault(end, (name, None))

    def close(self):
        self.starts = sorted(self.at)

    def find(self, address):
        """(object, function, start)."""
        if address < self.USER_END:
            return "user", "user", 0
        i = bisect.bisect_right(self.starts, address) - 1
        if i < 0:
            return "?", "?", 0
        start = self.starts[i]
        where, function = self.at[start]
        return (where, function, start) if function else ("?", "?", start)
