"""Prints what a WebAssembly module imports: one `module.name` a line, sorted, with its kind if it is no function."""

import sys

FUNCTION, TABLE, MEMORY, GLOBAL, TAG = range(5)
KINDS = {TABLE: "table", MEMORY: "memory", GLOBAL: "global", TAG: "tag"}
IMPORT_SECTION = 2


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            sys.exit("error: the module ends early")
        self.at += count
        return part

    def byte(self):
        return self.bytes(1)[0]

    def number(self):  # LEB128, unsigned
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def name(self):
        return self.bytes(self.number()).decode()

    def value_type(self):
        if self.byte() in (0x63, 0x64):  # a reference with its heap type
            self.number()

    def limits(self):
        flags = self.number()
        self.number()
        if flags & 1:
            self.number()

    def skip_description(self, kind):
        if kind == FUNCTION:
            self.number()
        elif kind == TABLE:
            self.value_type()
            self.limits()
        elif kind == MEMORY:
            self.limits()
        elif kind == GLOBAL:
            self.value_type()
            self.byte()
        elif kind == TAG:
            self.byte()
            self.number()
        else:
            sys.exit(f"error: an import of unknown kind {kind}")


def imports(module):
    if module.bytes(8) != b"\0asm\1\0\0\0":
        sys.exit("error: not a WebAssembly module")
    while module.at < len(module.data):
        section = module.byte()
        body = Reader(module.bytes(module.number()))
        if section != IMPORT_SECTION:
            continue
        for _ in range(body.number()):
            name = f"{body.name()}.{body.name()}"
            kind = body.byte()
            body.skip_description(kind)
            yield name if kind == FUNCTION else f"{name} ({KINDS[kind]})"


with open(sys.argv[1], "rb") as file:
    for line in sorted(set(imports(Reader(file.read())))):
        print(line)
