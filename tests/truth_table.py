"""Every row of the README's table "What happens when X is missing, broken, slow or too big" is a
test that ran and passed.

  truth_table.py README.md TEST_LOG

TEST_LOG is the output of `cargo test`. The first cell of a row is the name of its test function.
"""

import re
import sys

HEADING = "What happens when X is missing, broken, slow or too big"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# libtest: `test module::name ... ok`
RESULT = re.compile(r"^test (?:[\w-]+::)*(\w+)(?: - should panic)? \.\.\. (\w+)", re.MULTILINE)


def rows(readme):
    """The names in the first cells of the table, in its order."""
    parts = re.split(rf"^#+ {re.escape(HEADING)}$", readme, flags=re.MULTILINE)
    if len(parts) != 2:
        sys.exit(f"error: expected one heading `{HEADING}`, found {len(parts) - 1}")
    section = re.split(r"^#+ ", parts[1], flags=re.MULTILINE)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    names = []
    for line in table[2:]:
        name = re.match(r"^\| `(\w+)` \|", line)
        if not name:
            sys.exit(f"error: a row without the name of a test: {line}")
        names.append(name[1])
    return names


def main(readme, log):
    with open(readme, encoding="utf-8") as file:
        names = rows(file.read())
    with open(log, encoding="utf-8", errors="replace") as file:
        results = RESULT.findall(COLOUR.sub("", file.read()))
    wrong = ["the table has no rows"] if not names else []
    for name in sorted({name for name in names if names.count(name) > 1}):
        wrong.append(f"{name}: more than one row")
    for name in dict.fromkeys(names):
        found = {result for test, result in results if test == name}
        if not found:
            wrong.append(f"{name}: no test of this name ran")
        elif found != {"ok"}:
            wrong.append(f"{name}: {', '.join(sorted(found - {'ok'}))}")
    for line in wrong:
        print(f"truth table: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"truth table: each of {len(names)} rows has a test that passed")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
