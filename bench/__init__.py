"""Measured ratios: the reader, uploads, searches, SQL and memory, each against a peer or its own lower bound.

``make bench`` runs everything and prints Markdown for ``docs/performance.md``. Seconds belong to a machine; the ratios
of one run, measured side by side on one core, travel better.
"""
