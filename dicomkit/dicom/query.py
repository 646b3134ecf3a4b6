"""A search as a value: built by the client, read by the server, the same class at both ends.

Source: DICOM PS3.18 section 8.3.4 (query parameters) and 10.6 (search transaction), edition 2024e; Cloud Healthcare
API v1, ``dicomStores.searchFor...`` and the DICOM conformance statement (page of 2026-04-14).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.attributes import (
    DEFAULT_LIMIT,
    LEVELS,
    MAX_LIMIT,
    MAX_OFFSET,
    NOT_STORED,
    SEARCHABLE,
    UIDS,
    Level,
    legal_fields,
)
from dicomkit.dicom.dictionary import is_private, keyword_of, parse_attribute, tag_of
from dicomkit.dicom.match_values import match_text
from dicomkit.dicom.matching import Condition, Mode, condition
from dicomkit.errors import InvalidArgument
from dicomkit.names import is_uid

__all__ = ["ALL", "Query"]

ALL = "all"
"""The ``includefield`` value that asks for everything of the level."""

_PLURAL: dict[Level, str] = {"study": "studies", "series": "series", "instance": "instances"}
_LEVEL_OF: dict[str, Level] = {plural: level for level, plural in _PLURAL.items()}
_STUDY, _SERIES, _INSTANCE = (tag_of(keyword) for keyword in UIDS)
_TAG = re.compile(r"[0-9A-F]{8}")
_KEYWORD_DOT = "__"
"""Stands for the dot of a path where only a Python name will do; no keyword has an underscore."""

# Parameters of every Google API method; they say nothing about the search.
_SYSTEM = frozenset(
    "$.xgafv access_token alt callback fields key oauth_token prettyPrint quotaUser uploadType upload_protocol".split()
)
# PS3.18 section 8.3.3: these stand for header fields, which the server reads elsewhere.
_STANDARD = frozenset({"accept", "charset"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search: what is wanted, what must match, which page.

    Attributes
    ----------
    level
        What one result stands for.
    study_instance_uid, series_instance_uid
        The study, or the series in it, that the path names.
    match
        Pairs of attribute and text; all of them must match. An attribute is eight hex digits, or the text of an
        ``AttributePath`` where it is in a sequence or of a private creator.
    fields
        Attributes wanted beyond the defaults, as tags. ``"all"`` comes first where it was asked for, and beside it
        stands only what it does not cover.
    limit
        Most results of this page; ``None`` for the level's default.
    offset
        Matches (not rows) to skip.
    fuzzymatching
        Match PatientName by words and not whole.
    """

    level: Level
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    match: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzymatching: bool = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InvalidArgument(f"level must be one of {', '.join(LEVELS)}; got {self.level!r:.40}")
        for what, uid in (("study", self.study_instance_uid), ("series", self.series_instance_uid)):
            if uid is not None and not is_uid(uid):
                raise InvalidArgument(f"the {what} in the path is no UID; give 1-64 digits and dots")
        if self.series_instance_uid and not (self.study_instance_uid and self.level == "instance"):
            raise InvalidArgument("a series can be named in the path only after its study, in a search for instances")
        if self.study_instance_uid and self.level == "study":
            raise InvalidArgument("a search for studies takes StudyInstanceUID as a match key, not in the path")
        tags = [tag for tag, _ in self.match]
        if len(set(tags)) != len(tags):
            raise InvalidArgument("an attribute is matched twice; give each match key once")
        if not all(_TAG.fullmatch(field) for field in self.fields if field != ALL) or not all(map(_is_path, tags)):
            raise InvalidArgument("match and fields take tags of eight hex digits; Query.build takes keywords")
        if self.limit is not None and self.limit < 1:
            raise InvalidArgument(f"limit must be at least 1; got {self.limit}")
        if self.offset < 0:
            raise InvalidArgument(f"offset must not be negative; got {self.offset}")

    @classmethod
    def build(
        cls,
        level: Level,
        *,
        fields: str | Iterable[str] = (),
        limit: int | None = None,
        offset: int = 0,
        fuzzymatching: bool = False,
        **match: object,
    ) -> Query:
        """Make a search from Python values.

        Parameters
        ----------
        level
            ``"study"``, ``"series"`` or ``"instance"``.
        fields
            More attributes to return, by keyword or tag, or ``"all"``.
        limit, offset
            The page. How large a page may be is for the server to say.
        fuzzymatching
            Match PatientName by the beginnings of its words.
        **match
            Attribute keyword (or tag) = value: text (``*`` and ``?`` are wildcards), a number, a date, a
            ``(start, end)`` range of dates or times with ``None`` for an open end, a list of UIDs. An attribute in a
            sequence is ``Sequence__Attribute``, or ``Sequence.Attribute`` in a dict; a private one
            ``"0019xx20[CREATOR]"``.

        Raises
        ------
        InvalidArgument
            A keyword is no DICOM attribute (the nearest is suggested), or a value does not fit it.

        Notes
        -----
        A single StudyInstanceUID, and beside it a single SeriesInstanceUID, move into the path where the API has one.
        """
        pairs: dict[str, str] = {}
        for name, value in match.items():
            path = AttributePath.parse(name.replace(_KEYWORD_DOT, "."))
            tag = str(path)
            if tag in pairs:
                raise InvalidArgument(f"{path.label} is matched twice, by keyword and by tag; give it once")
            pairs[tag] = match_text(name, path.vr, value)
            condition(path, pairs[tag], fuzzymatching=fuzzymatching)
        study = series = None
        if level != "study" and is_uid(pairs.get(_STUDY, "")):
            study = pairs.pop(_STUDY)
            if level == "instance" and is_uid(pairs.get(_SERIES, "")):
                series = pairs.pop(_SERIES)
        return cls(
            level=level,
            study_instance_uid=study,
            series_instance_uid=series,
            match=tuple(pairs.items()),
            fields=_fields([fields] if isinstance(fields, str) else fields, level),
            limit=_whole("limit", limit),
            offset=_whole("offset", offset) or 0,
            fuzzymatching=bool(fuzzymatching),
        )

    @property
    def effective_limit(self) -> int:
        """Most results of this page, the level's default filled in."""
        return DEFAULT_LIMIT[self.level] if self.limit is None else self.limit

    def conditions(self, mode: Mode = "friendly") -> tuple[tuple[AttributePath, Condition], ...]:
        """The match keys as pairs of attribute and condition."""
        return tuple(
            (path, condition(path, value, mode=mode, fuzzymatching=self.fuzzymatching))
            for path, value in ((AttributePath.parse(text), value) for text, value in self.match)
        )

    def path(self) -> str:
        """The path below ``dicomWeb/``, e.g. ``studies/1.2/series``."""
        parts = [_PLURAL[self.level]]
        if self.series_instance_uid:
            parts = ["series", self.series_instance_uid, *parts]
        if self.study_instance_uid:
            parts = ["studies", self.study_instance_uid, *parts]
        return "/".join(parts)

    def params(self) -> list[tuple[str, str]]:
        """The parameters of the query string, not yet percent-encoded."""
        params = [(AttributePath.parse(text).label, value) for text, value in self.match]
        params += [("includefield", field if field == ALL else _name(field)) for field in self.fields]
        if self.limit is not None:
            params.append(("limit", str(self.limit)))
        if self.offset:
            params.append(("offset", str(self.offset)))
        if self.fuzzymatching:
            params.append(("fuzzymatching", "true"))
        return params

    @classmethod
    def parse(cls, path: str, args: Iterable[tuple[str, str]], *, mode: Mode = "friendly") -> Query:
        """Read a search from the path below ``dicomWeb/`` and the decoded query string.

        Parameters
        ----------
        path
            One of the six that :meth:`path` makes.
        args
            Names and values in the order of the request; names may repeat.
        mode
            ``"google"`` refuses what the Cloud Healthcare API does not document.

        Raises
        ------
        InvalidArgument
            The path is no search, or a parameter breaks a rule. The message names the parameter and what it takes.
        """
        if mode not in get_args(Mode):
            raise InvalidArgument(f"mode must be 'friendly' or 'google'; got {mode!r:.40}")
        level, study, series = _read_path(path)
        fields: list[str] = []
        single: dict[str, str] = {}
        pairs: dict[str, str] = {}
        for name, value in args:
            if name == "includefield":
                fields.append(value)
            elif name in ("limit", "offset", "fuzzymatching"):
                if name in single:
                    raise InvalidArgument(f"{name} is given more than once")
                single[name] = value
            elif name not in _SYSTEM and (mode == "google" or name not in _STANDARD):
                tag = _match_attribute(name, level, mode)
                if tag in pairs:
                    raise InvalidArgument(f"{name:.80} is matched more than once; give each match key once")
                pairs[tag] = value.strip(" ")
        query = cls(
            level=level,
            study_instance_uid=study,
            series_instance_uid=series,
            match=tuple(pairs.items()),
            fields=_fields(fields, level, mode),
            limit=_number_in("limit", single.get("limit"), 1, MAX_LIMIT[level]),
            offset=_number_in("offset", single.get("offset"), 0, MAX_OFFSET) or 0,
            fuzzymatching=_boolean("fuzzymatching", single.get("fuzzymatching", "false")),
        )
        query.conditions(mode)  # refuses values that no attribute of this kind can have
        return query


def _name(tag: str) -> str:
    """The keyword where it leads back to this very tag (that of a repeating group stands for the first)."""
    keyword = keyword_of(tag)
    return keyword if keyword and parse_attribute(keyword) == tag else tag


def _is_path(text: str) -> bool:
    """Whether *text* is what an ``AttributePath`` writes."""
    try:
        return _TAG.fullmatch(text) is not None or str(AttributePath.parse(text)) == text
    except InvalidArgument:
        return False


def _match_attribute(text: str, level: Level, mode: Mode) -> str:
    try:
        path = AttributePath.parse(text)
    except InvalidArgument as error:
        if mode == "friendly":
            raise
        raise InvalidArgument(f"unknown/unsupported QIDO attribute: {text:.80}") from error
    if mode == "google" and path.label not in SEARCHABLE[level]:
        raise InvalidArgument(
            f"{path.label} is not a supported {level} attribute; supported are {', '.join(sorted(SEARCHABLE[level]))}"
        )
    return str(path)


def _fields(texts: Iterable[str], level: Level, mode: Mode = "friendly") -> tuple[str, ...]:
    """Tags without repetition, ``all`` first."""
    tags: dict[str, None] = {}
    for text in (part.strip(" ") for texts_ in texts for part in _text(texts_).split(",")):
        if text:
            tags[ALL if text == ALL else _field(text, level, mode)] = None
    if ALL not in tags:
        return tuple(tags)
    covered = tags if level == "instance" else legal_fields(level)
    return (ALL, *(tag for tag in tags if tag != ALL and tag not in covered))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"fields takes DICOM keywords as text; got a {type(value).__name__}")
    return value


def _field(text: str, level: Level, mode: Mode) -> str:
    try:
        if "." in text:
            raise InvalidArgument(f"{text!r:.80} is inside a sequence; ask for the whole sequence")
        tag = parse_attribute(text)
    except InvalidArgument as error:
        if mode == "friendly":
            raise
        raise InvalidArgument(f"unknown/unsupported QIDO attribute: {text:.80}") from error
    if mode == "google":
        keyword = _name(tag)
        legal = keyword not in NOT_STORED if level == "instance" else tag in legal_fields(level)
        if not legal or (keyword_of(tag) is None and not is_private(tag)):
            raise InvalidArgument(f"unknown/unsupported QIDO attribute: {keyword}")
    return tag


def _read_path(path: str) -> tuple[Level, str | None, str | None]:
    parts = path.strip("/").split("/")
    level = _LEVEL_OF.get(parts[-1])
    shape = tuple(parts[:-1:2])
    if level is None or len(parts) % 2 == 0 or shape not in ((), ("studies",), ("studies", "series")):
        raise InvalidArgument("this path is no search; search studies, series or instances, below a study or series")
    uids = parts[1:-1:2]
    return level, uids[0] if uids else None, uids[1] if len(uids) > 1 else None


def _whole(name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidArgument(f"{name} takes a whole number; got a {type(value).__name__}")


def _number_in(name: str, text: str | None, low: int, high: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise InvalidArgument(f"{name} must be a whole number from {low} to {high}; got {text!r:.40}")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidArgument(f"{name} must be true or false; got {text!r:.40}")
    return text.lower() == "true"
