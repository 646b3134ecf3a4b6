"""The commands of ``dicomkit``, one module for each subject; ``dicomkit.cli`` puts them together.

What stands at the top of these modules is read by ``dicomkit --help``, too: pandas, DuckDB and Google's libraries are
imported by the commands that need them, when they run.
"""
