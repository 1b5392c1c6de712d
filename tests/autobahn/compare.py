"""Compares results of the Autobahn suite with those stored, case by case.

    compare.py [--update] EXPECTED.json INDEX.json...

Ends with 1 when any case is not what was stored.
"""

import json
import sys


def order(case):
    return [int(part) for part in case.split(".")]


def read(path):
    with open(path, encoding="utf-8") as file:
        (results,) = json.load(file).values()
    if not results:
        sys.exit(f"autobahn: no case ran: {path}")
    return {case: [r["behavior"], r["behaviorClose"]] for case, r in results.items()}


def main(args):
    update = "--update" in args
    expected_path, *paths = [arg for arg in args if arg != "--update"]
    runs = {path: read(path) for path in paths}
    try:
        with open(expected_path, encoding="utf-8") as file:
            expected = json.load(file)
    except FileNotFoundError:
        expected = {}
    if update:
        for run in runs.values():
            expected.update(run)
        lines = [f"{json.dumps(c)}: {json.dumps(expected[c])}" for c in sorted(expected, key=order)]
        with open(expected_path, "w", encoding="utf-8") as file:
            file.write("{\n" + ",\n".join(lines) + "\n}\n")
    different = 0
    for path, run in runs.items():
        scheme = path.split("/")[-2]
        for case in sorted(run, key=order):
            if run[case] != expected.get(case):
                different += 1
                print(f"  {scheme} {case}: {run[case]}, but {expected.get(case)} is stored")
        good = sum(result == ["OK", "OK"] for result in run.values())
        others = {tuple(result) for result in run.values()} - {("OK", "OK")}
        said = "".join(f"; {behaviour}, close {close}: " + " ".join(
            sorted((c for c in run if run[c] == [behaviour, close]), key=order))
            for behaviour, close in sorted(others))
        print(f"autobahn: {scheme}: {good} of {len(run)} OK{said}")
    if different:
        sys.exit(f"autobahn: {different} results are not those stored in {expected_path}")


main(sys.argv[1:])
