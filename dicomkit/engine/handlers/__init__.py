"""Handlers: one function per method id, wire in and wire out; the rules are in ``services``."""
