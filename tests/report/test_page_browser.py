"""The report's page in a real browser."""

import shutil

import pytest

from mtlgym.report.page import write_page
from mtlgym.report.tables import NONE
from tests.report import page_runs

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium to open the page in")
DELTAS = {"equal": 9.5, "uw": 10.25, "dwa": None, "igbv1": 101.0}  # as text, 9.5 would be last
WIDE, NARROW, PAPER = (1280, 900), (360, 640), (1017, 700)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    found = page_runs.many(2)
    for each in found:
        if each["agent"] in DELTAS and each["env"] == page_runs.ENVS["training"]:
            each["delta_m"] = DELTAS[each["agent"]]
    runs = page_runs.write(tmp_path_factory.mktemp("runs"), found)
    return write_page(tmp_path_factory.mktemp("report"), runs).as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, address, request):
    """The page, opened; it must have nothing to complain of and ask for nothing but itself."""
    width, height = getattr(request, "param", WIDE)
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_function("[...document.images].every(image => image.complete)")
    yield page
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    page.close()


def table(page):
    return page.locator("#environments .table").filter(has_text="MTL-Rooms-v0").locator("table")


def deltas(page):
    """Agents and what is shown of Delta_m, from the top."""
    rows = table(page).locator("tbody tr").all()
    return [(r.locator("th").inner_text(), r.locator("td").nth(2).inner_text()) for r in rows]


def shown_facts(page):
    """Whether the content of each of the details is to be seen."""
    return page.eval_on_selector_all("details dl", "all => all.map(d => d.checkVisibility())")


def order(page):
    return [name.split()[0] for name, _ in deltas(page)]


def test_the_page_opens_from_a_file_without_an_error(opened):
    assert opened.title() == "Report of mtlgym"
    assert opened.locator("h2").count() == 10


def test_every_picture_is_drawn(opened):
    sizes = opened.eval_on_selector_all(
        "img", "all => all.map(i => [i.naturalWidth, i.naturalHeight, i.width, i.height])"
    )
    assert len(sizes) > 8
    assert all(min(each) > 50 for each in sizes)


def test_a_click_on_a_head_sorts_by_number_and_another_the_other_way(opened):
    head = table(opened).locator("thead th").nth(3)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    known = [name for name in order(opened) if name in ("equal", "uw", "igbv1")]
    assert known == ["equal", "uw", "igbv1"]
    assert deltas(opened)[-1][1] == NONE  # what is missing is last
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    known = [name for name in order(opened) if name in ("equal", "uw", "igbv1")]
    assert known == ["igbv1", "uw", "equal"]
    assert deltas(opened)[-1][1] == NONE


def test_the_keyboard_sorts_too(opened):
    heads = table(opened).locator("thead th")
    heads.nth(0).locator("button").focus()
    opened.keyboard.press("Enter")
    assert heads.nth(0).get_attribute("aria-sort") == "ascending"
    names = [name for name, _ in deltas(opened) if "script" not in name]
    assert names == sorted(names)
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    assert heads.nth(0).get_attribute("aria-sort") == "none"
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"


def test_a_label_of_ill_will_is_shown_as_it_is(opened):
    assert any(page_runs.EVIL.split()[0] in name for name, _ in deltas(opened))
    assert opened.locator("script").count() == 1


def test_links_lead_to_their_sections(opened):
    for link in opened.locator("nav a").all():
        link.click()
        assert opened.locator(link.get_attribute("href")).is_visible()


@pytest.mark.parametrize("opened", [NARROW], indirect=True)
def test_a_narrow_page_scrolls_in_boxes_alone(opened):
    widths = opened.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == [NARROW[0], NARROW[0]]
    boxes = opened.eval_on_selector_all(
        ".scroll", "all => all.map(b => [b.scrollWidth > b.clientWidth, b.tabIndex])"
    )
    assert [True, 0] in boxes
    assert [True, -1] not in boxes  # what scrolls is reached by the keyboard
    badges = opened.eval_on_selector_all(
        ".badge", "all => all.map(b => b.getBoundingClientRect().right)"
    )
    assert max(badges) <= NARROW[0]


@pytest.mark.parametrize("opened", [PAPER], indirect=True)
def test_on_paper_everything_is_open_and_nothing_is_cut(opened):
    assert not any(shown_facts(opened))
    opened.emulate_media(media="print")
    assert all(shown_facts(opened))
    assert opened.evaluate("document.documentElement.scrollWidth") <= PAPER[0]
    overflow = opened.eval_on_selector_all(
        ".scroll", "all => all.map(b => getComputedStyle(b).overflowX)"
    )
    assert set(overflow) == {"visible"}
    assert not opened.locator("nav").is_visible()
    opened.emulate_media(media="screen")
    assert not any(shown_facts(opened))
