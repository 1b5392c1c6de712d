"""Reads metrics as Prometheus' own library does, and tells as JSON what it has read.

The text is read twice: as it is, and, changed into OpenMetrics, by the reader that is strict about
names, histograms and order.
"""

import json
import re
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_strictly
from prometheus_client.parser import text_string_to_metric_families as read

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()


def samples(families):
    found = {}
    for family in families:
        assert family.documentation, family
        assert family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, name
            found[name] = repr(float(sample.value))
    return found


plain = samples(read(text))
# There a counter is announced without its ending, and the end of the text is said.
open_metrics = re.sub(r"(?m)^(# (?:HELP|TYPE) \w+)_total ", r"\1 ", text) + "# EOF\n"
strict = samples(read_strictly(open_metrics))
assert strict == plain, set(strict.items()) ^ set(plain.items())
json.dump(plain, sys.stdout)
