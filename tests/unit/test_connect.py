"""Credentials of connect: with them a folder's engine may reach Cloud Storage, without them nothing leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

import dicomkit as dk
from dicomkit.connect import _Shared
from dicomkit.errors import InvalidArgument, NotFound


def test_a_folder_has_no_credentials_unless_they_are_given(tmp_path: Path) -> None:
    """A bucket that is no folder is missing, and the message says both remedies."""
    with dk.connect(tmp_path / "home") as dataset:
        with pytest.raises(NotFound, match="make the folder buckets/cloud-bucket in the home, or give"):
            dataset.create_store("ct").import_dicom("gs://cloud-bucket/**")


def test_a_folder_is_open_with_credentials_or_without_them(tmp_path: Path) -> None:
    """Whether gs:// may mean the cloud does not depend on who came first; a cell that runs twice is fine."""
    credentials = AnonymousCredentials()
    with dk.connect(tmp_path / "home", credentials=credentials):
        with dk.connect(tmp_path / "home", credentials=AnonymousCredentials()):
            engine, users = _Shared._open[(tmp_path / "home").resolve()]
            assert users == 2
            assert engine.has_credentials
        with pytest.raises(InvalidArgument, match="open with credentials; close that dataset first"):
            dk.connect(tmp_path / "home")
    with dk.connect(tmp_path / "home"):
        with pytest.raises(InvalidArgument, match="open without credentials; close that dataset first"):
            dk.connect(tmp_path / "home", credentials=credentials)


def test_a_server_takes_no_credentials() -> None:
    """They would be lost without a word: a server has its own."""
    with pytest.raises(InvalidArgument, match="a dicomkit server takes token="):
        dk.connect("http://127.0.0.1:9", credentials=AnonymousCredentials())


def test_google_cloud_takes_the_given_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the application default credentials, which are not looked for."""
    credentials = AnonymousCredentials()
    monkeypatch.setattr("google.auth.default", lambda **kwargs: pytest.fail("defaults were looked for"))
    with dk.connect("projects/p/locations/l/datasets/d", credentials=credentials) as dataset:
        assert dataset.session.credentials is credentials
