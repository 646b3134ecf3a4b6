"""The OHIF viewer's build from npm, in Chromium, on ``dicomkit serve``.

Deselected unless asked for by the marker ``browser``: ``make browser-test`` fetches the viewer and runs it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

import dicomkit as dk
from dicomkit.pixels import transcode
from examples.ohif import phantom, viewer
from tests.contract.instances import ct_slice, part10
from tests.process import TOKEN, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Response

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 60_000
"""A page on a busy machine takes its time."""


@dataclass
class Traffic:
    """What the page asked for, and what went wrong."""

    viewer_url: str
    server_url: str
    answers: list[tuple[str, int, str]] = field(default_factory=list)
    """Verb, status, path and query of each request to the server of dicomkit."""
    problems: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note everything that *page* does."""
        page.on("pageerror", lambda error: self.problems.append(f"error in the page: {error}"))
        page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.method} {request.url}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.viewer_url}/", f"{self.server_url}/", "blob:", "data:")):
            self.problems.append(f"elsewhere: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")
        if response.url.startswith(self.server_url):
            path = response.url.removeprefix(self.server_url)
            self.answers.append((response.request.method, response.status, path.rpartition("/dicomWeb")[2]))

    def asked(self, pattern: str) -> list[int]:
        """Statuses of the answers to GET requests whose path and query match *pattern*."""
        return [status for verb, status, path in self.answers if verb == "GET" and re.search(pattern, path)]


@pytest.fixture(
    params=[ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda uid: uid.name
)
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Page, Traffic]]:
    """The viewer's study list, of a store with the phantom in a transfer syntax and two studies of another patient."""
    from playwright.sync_api import sync_playwright

    build = viewer.HERE / viewer.BUILD
    assert build.exists(), "the viewer is not there; make browser-test fetches it"
    with viewer.pages(build) as pages, serve(tmp_path / "home", "--allow-origin", pages.url) as server:
        with dk.connect(server.url, token=TOKEN) as dataset:
            store = dataset.create_store("ct")
            slices = [pydicom.dcmread(io.BytesIO(transcode(part10(ds), request.param))) for ds in phantom.ct_series()]
            uploaded = store.upload([*slices, ct_slice(study=1), ct_slice(study=2)])
            assert set(uploaded["outcome"]) == {"stored"}
            pages.dicomweb_url = f"{server.url}/v1/{store.name}/dicomWeb"
        with sync_playwright() as playwright:
            # Without a graphics card the same renderer draws everywhere.
            software = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=software)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(WAIT_MS)
            # Its tour lies over the image until it was seen.
            page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
            traffic = Traffic(pages.url, server.url)
            traffic.watch(page)
            page.goto(f"{pages.url}/#token={TOKEN}")
            yield page, traffic
            browser.close()


def test_the_viewer_finds_a_ct_series_shows_it_and_scrolls_through_it(opened: tuple[Page, Traffic]) -> None:
    """Study list, search by a part of a name, pixels where the phantom has them, the next slice; nothing fails."""
    page, traffic = opened
    page.get_by_text("Phantom, Torso").wait_for()
    page.get_by_text("Test, Patient1").wait_for()
    listed = page.locator("tr", has_text="Phantom, Torso").first.inner_text().split()
    assert "CT" in listed, "ModalitiesInStudy"
    assert listed[-1] == "20", "NumberOfStudyRelatedInstances"
    page.locator("[data-cy=confirm-and-hide-button]").click()

    patient = page.locator("tr input").first
    # The viewer asks when nothing more is typed for a moment; until then it filters what it has.
    for words in ("nobody", "tors"):
        with page.expect_response(re.compile(rf"/studies\?PatientName=\*{words}\*&")):
            patient.fill(words)
    page.wait_for_load_state("networkidle")
    page.get_by_text("Phantom, Torso").wait_for()
    assert page.get_by_text("Test, Patient1").count() == 0
    page.get_by_text("Phantom, Torso").dblclick()

    page.wait_for_url("**/viewer**")
    shown = page.locator("[data-cy=viewport-overlay-bottom-right]")
    shown.get_by_text("(1/20)").wait_for()
    first = settled(page)
    assert brightness(first, *phantom.SPHERE) > 240
    assert 80 < brightness(first, phantom.SPHERE[0], phantom.SIZE - phantom.SPHERE[1]) < 170, "soft tissue opposite"
    assert brightness(first, 124, 80) < 10, "a lung"
    assert brightness(first, 194, 128) > 200, "the spine"
    assert brightness(first, 20, 128) < 10, "air"
    rim = (phantom.SPHERE[0], phantom.SPHERE[1] + 9)
    assert brightness(first, *rim) < 170, "the sphere is small here"

    page.locator("canvas.cornerstone-canvas").hover()
    page.mouse.wheel(0, 100)
    shown.get_by_text("(2/20)").wait_for()
    assert brightness(settled(page), *rim) > 240, "the sphere is larger in the next slice"

    page.wait_for_load_state("networkidle")
    assert traffic.problems == []
    assert traffic.asked(r"^/studies\?PatientName=\*nobody\*&") == [204]
    assert traffic.asked(r"^/studies\?PatientName=\*tors\*&") == [200]
    assert traffic.asked(r"/metadata$") == [200]
    assert traffic.asked(r"/frames/1$") == [200] * phantom.SLICES


def settled(page: Page) -> npt.NDArray[Any]:
    """The viewport as grey values, once an image is in it and two pictures of it are the same."""
    canvas = page.locator("canvas.cornerstone-canvas")
    before = None
    for _ in range(100):
        picture = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"))
        if before is not None and np.array_equal(before, picture) and picture.std() > 20:
            return picture
        before = picture
        page.wait_for_timeout(100)
    raise AssertionError("the viewport stays blank, or does not come to rest")


def brightness(picture: npt.NDArray[Any], row: float, column: float) -> float:
    """Mean grey value around a pixel of the phantom, which fills the viewport's height or width."""
    height, width = picture.shape
    scale = min(height, width) / phantom.SIZE
    y = round(height / 2 + (row + 0.5 - phantom.SIZE / 2) * scale)
    x = round(width / 2 + (column + 0.5 - phantom.SIZE / 2) * scale)
    return float(picture[y - 2 : y + 3, x - 2 : x + 3].mean())
