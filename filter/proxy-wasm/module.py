"""Tells what a WebAssembly module is made of.

  module.py imports FILE  what it imports: one `module.name` a line, sorted, with its kind if it is no function
  module.py crates FILE   how much code comes of which crate, of a module that still has its names; exit code 1
                          if it holds what must not be in it
"""

import re
import sys
from collections import Counter

FUNCTION, TABLE, MEMORY, GLOBAL, TAG = range(5)
KINDS = {TABLE: "table", MEMORY: "memory", GLOBAL: "global", TAG: "tag"}
CUSTOM_SECTION, IMPORT_SECTION, CODE_SECTION = 0, 2, 10
FUNCTION_NAMES = 1
# Of regorus the parser is used. What evaluates policies is ours.
UNWANTED = re.compile(r"regorus(?:\d+|\.\.)(rvm|compiler|interpreter|engine|builtins|scheduler)")

# What parses and evaluates policies.
POLICY_CRATES = ("everycall_rego", "everycall_rego_values", "regorus", "num_bigint", "num_integer", "num_traits")


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


def sections(module):
    if module.bytes(8) != b"\0asm\1\0\0\0":
        sys.exit("error: not a WebAssembly module")
    while module.at < len(module.data):
        section = module.byte()
        yield section, Reader(module.bytes(module.number()))


def imports(module):
    for section, body in sections(module):
        if section != IMPORT_SECTION:
            continue
        for _ in range(body.number()):
            name = f"{body.name()}.{body.name()}"
            kind = body.byte()
            body.skip_description(kind)
            yield name if kind == FUNCTION else f"{name} ({KINDS[kind]})"


def functions(module):
    """The name and the bytes of each function."""
    imported, sizes, names = 0, [], {}
    for section, body in sections(module):
        if section == IMPORT_SECTION:
            for _ in range(body.number()):
                body.name(), body.name()
                kind = body.byte()
                body.skip_description(kind)
                imported += kind == FUNCTION
        elif section == CODE_SECTION:
            for _ in range(body.number()):
                size = body.number()
                body.bytes(size)
                sizes.append(size)
        elif section == CUSTOM_SECTION and body.name() == "name":
            while body.at < len(body.data):
                kind, part = body.byte(), Reader(body.bytes(body.number()))
                if kind == FUNCTION_NAMES:
                    names = {part.number(): part.name() for _ in range(part.number())}
    if not names:
        sys.exit("error: the module has no names")
    for index, size in enumerate(sizes):
        yield names.get(imported + index, "?"), size


def crate(name):
    """The crate of a mangled name; of an implementation, that of its type."""
    first = re.match(r"_ZN(\d+)", name)
    if not first:
        return "others"
    start = first.end()
    word = name[start : start + int(first[1])]
    if "$" in word:
        paths = re.findall(r"([a-z_][a-z0-9_]*)\.\.", word)
        word = next((path for path in paths), "core")
    return "std" if word in ("core", "alloc", "std", "compiler_builtins", "hashbrown", "memchr") else word


def crates(module):
    sizes, unwanted = Counter(), set()
    for name, size in functions(module):
        sizes[crate(name)] += size
        found = UNWANTED.search(name)
        if found:
            unwanted.add(name)
    total = sum(sizes.values())
    print(f"  {'code by crate, before it is optimised':44} KB")
    shown = sizes.most_common(14)
    for name, size in shown:
        print(f"  {name:44} {size / 1000:6.0f}")
    print(f"  {'the others':44} {(total - sum(size for _, size in shown)) / 1000:6.0f}")
    policies = sum(sizes[name] for name in POLICY_CRATES)
    print(f"  {'of it, to parse and evaluate policies':44} {policies / 1000:6.0f}")
    if unwanted:
        sys.exit("error: the module holds more of regorus than its parser: " + ", ".join(sorted(unwanted)[:5]))


def main(what, path):
    with open(path, "rb") as file:
        module = Reader(file.read())
    if what == "imports":
        for line in sorted(set(imports(module))):
            print(line)
    else:
        crates(module)


main(*sys.argv[1:])
