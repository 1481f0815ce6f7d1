#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a search as rclip does it: fp32 vectors, one product with the query, and a sort of all scores.

usage: numpy_search.py [VECTORSxVALUES]
"""

import statistics
import sys
import time

import numpy as np

TOP = 100
RUNS = 7


def main():
    count, dim = (int(part) for part in (sys.argv[1:] or ["1000000x512"])[0].split("x"))
    random = np.random.default_rng(1)
    vectors = np.empty((count, dim), np.float32)
    for first in range(0, count, 10000):
        part = random.standard_normal((min(10000, count - first), dim), np.float32)
        vectors[first : first + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    query = random.standard_normal(dim, np.float32)
    query /= np.linalg.norm(query)
    times = {"product": [], "sort": []}
    for run in range(RUNS + 1):
        begin = time.perf_counter()
        scores = vectors @ query
        middle = time.perf_counter()
        order = np.argsort(-scores)[:TOP]
        end = time.perf_counter()
        assert scores[order[0]] == scores.max()
        if run:
            times["product"].append(middle - begin)
            times["sort"].append(end - middle)
    for part, seconds in times.items():
        print(f"{part:8} {1e3 * statistics.median(seconds):7.1f} ms")


if __name__ == "__main__":
    main()
