"""What the documents say that tests show, tests do show: those ran and passed.

  truth_table.py envoy/README.md SECURITY.md TEST_LOG

Of the first page: every row of the table "What happens when X is missing, broken, slow or too big", whose first cell is the
name of a test function. Of SECURITY.md: every promise, and every row of what a client may try, whose last cell has the
names. TEST_LOG is the output of `cargo test`.
"""

import re
import sys

HEADING = "What happens when X is missing, broken, slow or too big"
PROMISES = "What it promises"
CLIENT = "The client"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# libtest: `test module::name ... ok`
RESULT = re.compile(r"^test (?:[\w-]+::)*(\w+)(?: - should panic)? \.\.\. (\w+)", re.MULTILINE)
# Other words in backticks have no underscore, or something else in them.
NAME = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def section(text, heading):
    """What stands below a heading, as far as the next one."""
    parts = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)
    if len(parts) != 2:
        sys.exit(f"error: expected one heading `{heading}`, found {len(parts) - 1}")
    return re.split(r"^#+ ", parts[1], flags=re.MULTILINE)[0]


def table(text):
    """The rows of a table."""
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def rows(page):
    """The names in the first cells of the table, in its order."""
    names = []
    for line in table(section(page, HEADING)):
        name = re.match(r"^\| `(\w+)` \|", line)
        if not name:
            sys.exit(f"error: a row without the name of a test: {line}")
        names.append(name[1])
    return names


def promised(security):
    """What is promised, with the names of the tests that show it."""
    items = re.split(r"^(?=\d+\. )", section(security, PROMISES), flags=re.MULTILINE)[1:]
    promises = [(item.split("\n")[0], NAME.findall(item.split("\n\n")[0])) for item in items]
    for line in table(section(security, CLIENT)):
        promises.append((line.split("|")[1].strip(), NAME.findall(line.split("|")[-2])))
    return promises


def main(page, security, log):
    names = rows(read(page))
    promises = promised(read(security))
    results = RESULT.findall(COLOUR.sub("", read(log)))
    wrong = ["the table has no rows"] if not names else []
    wrong += ["nothing is promised"] if not promises else []
    for name in sorted({name for name in names if names.count(name) > 1}):
        wrong.append(f"{name}: more than one row")
    for promise, shown_by in promises:
        if not shown_by:
            wrong.append(f"no test shows: {promise}")
    for name in dict.fromkeys(names + [name for _, shown_by in promises for name in shown_by]):
        found = {result for test, result in results if test == name}
        if not found:
            wrong.append(f"{name}: no test of this name ran")
        elif found != {"ok"}:
            wrong.append(f"{name}: {', '.join(sorted(found - {'ok'}))}")
    for line in wrong:
        print(f"truth table: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"truth table: each of {len(names)} rows and {len(promises)} promises has tests that passed")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
