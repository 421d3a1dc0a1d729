#!/usr/bin/env python3
"""Fills in what OPA says: `want` of each case of cases/faults.json and policies/*.json, which are run without it.

A case that calls what may fail has its program twice, as it is and `guarded`: OPA ends here where a builtin fails.
"""
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import oracle  # noqa: E402

HERE = pathlib.Path(__file__).parent


def want(modules, data, case, query):
    question = {"modules": {f"m{at}.rego": text for at, text in enumerate(modules)}, "data": data, "query": query}
    if "input" in case:
        question["input"] = case["input"]
    answer = json.loads(oracle.answer(question))
    if "error" in answer:
        if "eval_conflict_error" not in answer["error"]["message"]:
            sys.exit(f"{case}: {answer['error']['message']}")
        return "error"
    rows = answer.get("result")
    return {"value": rows[0]["bindings"]["answer"]} if rows else "undefined"


def write(path, content):
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


faults = HERE / "cases/faults.json"
cases = json.loads(faults.read_text())
for case in cases:
    case["want"] = want(case.get("guarded", case["modules"]), case["data"], case, case["query"])
write(faults, cases)

for path in sorted((HERE / "policies").glob("*.json")):
    policy = json.loads(path.read_text())
    text = path.with_suffix(".rego").read_text()
    for case in policy["cases"]:
        case["want"] = want([text], policy.get("data", {}), case, policy["query"])
    write(path, policy)
