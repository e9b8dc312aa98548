"""The record of a run: config.yaml, status.json and metrics.jsonl."""

import logging

log = logging.getLogger(__name__)
