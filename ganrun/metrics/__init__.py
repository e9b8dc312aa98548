"""Scores of samples.

`scores/` has one file per score and explains how to add one, `extractors/` the networks whose features they compare.
A suite measures several scores together: `suite.py` for generated images, `translation.py`, `modes.py` and `stacked.py`
for the rest, all built on `base.py`. `conf/metrics/` configures the suites.
"""
