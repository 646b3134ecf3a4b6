"""The ``filter`` of ``dicomStores.list``: which stores a list is about, by their labels.

::

    filter     = either
    either     = both { "OR" both }
    both       = term { "AND" term }
    term       = "NOT" term | "(" either ")" | "labels." key "=" value
    key, value = a word, or any text in double quotes

Source: Cloud Healthcare API v1, ``dicomStores.list``. The page gives quotes, ``=``, ``NOT``, ``AND`` and ``OR``, ends
with "only filtering on labels is supported", and says nothing of precedence or parentheses: ``NOT`` binds strongest
and ``AND`` before ``OR``, as everywhere. It describes ``=`` as a search within the text; for labels, which are chosen
from a list and not written, it is equality here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomkit.resources._json import invalid, located, quoted

__all__ = ["MAX_CHARACTERS", "LabelFilter"]

MAX_CHARACTERS = 2048
"""Longest filter."""

MAX_DEPTH = 50
"""Deepest nesting of parentheses and ``NOT``."""

_TOKEN = re.compile(r'\s*(?:(?P<mark>[()=])|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()="\\<>!:]+))', re.DOTALL)
_WORDS = frozenset(("AND", "OR", "NOT"))
_PREFIX = "labels."

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    is_quoted: bool = False

    def __str__(self) -> str:
        return quoted(self.text)


_END = _Token("")


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """A filter that was read: ``matches`` says of a store's labels whether they fit.

    Parameters
    ----------
    text
        The filter as it was written.
    matches
        The test.
    """

    text: str
    matches: Test

    @classmethod
    def parse(cls, text: str) -> LabelFilter:
        """Read a filter; blank text lets everything through.

        Raises
        ------
        InvalidArgument
            It is not of the grammar above, or is about something else than labels.
        """
        with located("filter"):
            if len(text) > MAX_CHARACTERS:
                raise invalid(f"must have at most {MAX_CHARACTERS} characters, it has {len(text)}; shorten it")
            tokens = _tokens(text)
            return cls(text, _Parser(tokens).whole() if tokens else _everything)


def _everything(labels: Labels) -> bool:
    return True


def _tokens(text: str) -> list[_Token]:
    found = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at, end)
        if match is None:
            raise invalid(
                f"cannot be read from character {at + 1} on; compare by = only, and close what is in quotation marks"
            )
        if match["text"] is not None:
            found.append(_Token(re.sub(r"\\(.)", r"\1", match["text"], flags=re.DOTALL), is_quoted=True))
        else:
            found.append(_Token(match["mark"] or match["word"]))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens; a method per rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Test:
        test = self._either()
        if self._peek() is not _END:
            raise invalid(f"has {self._peek()} where AND, OR or the end was expected; combine terms by AND or OR")
        return test

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _takes(self, text: str) -> bool:
        token = self._peek()
        if token is _END or token.is_quoted or token.text != text:
            return False
        self._at += 1
        return True

    def _either(self) -> Test:
        tests = [self._both()]
        while self._takes("OR"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda labels: any(test(labels) for test in tests)

    def _both(self) -> Test:
        tests = [self._term()]
        while self._takes("AND"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda labels: all(test(labels) for test in tests)

    def _term(self) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid(f"must not be nested deeper than {MAX_DEPTH} levels; write it flatter")
        try:
            if self._takes("NOT"):
                inner = self._term()
                return lambda labels: not inner(labels)
            if self._takes("("):
                test = self._either()
                if not self._takes(")"):
                    raise invalid("has a parenthesis without its end; close it")
                return test
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        field = self._take()
        if field.is_quoted or not field.text.startswith(_PREFIX):
            what = "nothing" if field is _END else str(field)
            raise invalid(
                f"can be about labels only, and has {what} where labels.KEY was expected; as in labels.env=test"
            )
        key = field.text.removeprefix(_PREFIX)
        if not key:  # labels."a key"
            token = self._take()
            key = token.text if token.is_quoted else ""
        if not key:
            raise invalid("has no key after labels.; write labels.KEY=VALUE")
        if not self._takes("="):
            raise invalid("must compare a label by =, there is no other operator; write labels.KEY=VALUE")
        value = self._take()
        if value is _END or (not value.is_quoted and (value.text in _WORDS or value.text in "()=")):
            raise invalid('has no value after =; write labels.KEY=VALUE, or "" for an empty one')
        wanted = value.text
        return lambda labels: labels.get(key) == wanted
