"""What stands in the page of a report, for tests."""

from __future__ import annotations

import base64
import json
import re

import numpy as np


def data_of(page):
    """Return the data that a page's script reads."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def unpacked(text):
    """Return packed numbers, as explanations.js reads them."""
    three = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 3)
    return np.pad(three, [(0, 0), (1, 0)]).view("<f4")[:, 0]
