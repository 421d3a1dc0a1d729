#!/usr/bin/env python3
"""The real OPA, for the differential run: a line in is a JSON array of questions, a line out the array of answers.

Question: {"modules": {"a.rego": "package a ..."}, "data": {...}, "input": ..., "query": "data.a.decision"}
Answer:   {"result": [...]} with the one binding `answer`, or {"error": {"code": ..., "message": ...}}

OPA comes in the wheel opa-golib-python-bindings, unpacked below the folder OPA_BINDINGS. Answers are passed on as OPA
writes them: numbers keep their text.
"""
import ctypes
import json
import os
import sys

sys.path.insert(0, os.environ["OPA_BINDINGS"])
from opa_bindings.engine import OpaEngine, OpaError, _cstr, _encode_input  # noqa: E402


def answer(question):
    engine = OpaEngine()
    try:
        for name, text in question["modules"].items():
            engine.add_policy(name, text)
        engine.add_data(question["data"])
        library, query = engine._lib, _cstr("answer = " + question["query"])
        text = library.OpaEvalQuery(engine._handle, query, _encode_input(question.get("input")), 0, 0)
        try:
            return ctypes.string_at(text).decode()
        finally:
            library.OpaFreeString(text)
    except OpaError as error:
        return json.dumps({"error": {"code": error.code, "message": str(error)}})
    finally:
        engine.close()


if __name__ == "__main__":
    for line in sys.stdin:
        print("[" + ",".join(answer(question) for question in json.loads(line)) + "]", flush=True)
