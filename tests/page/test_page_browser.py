"""The page in a real browser, from a file: no error, no request, sorting, filters, sound, colours, small screens, keys."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from finished import finished, merged_with_choice, settings

from asr_analogy.stages.comparison import comparison
from asr_analogy.stages.report import report

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
EVIL = '</script><script>window.hurt=1</script><img src="x" onerror="window.hurt=1">'


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = finished(tmp_path_factory.mktemp("run"))
    merged_with_choice(place)
    report(settings(), place)
    return place.root / "report/report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """A function that opens a file; whatever the page complains about or asks of the network fails the test."""
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 900}), []

    def open_file(file: Path) -> Any:
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
        )
        page.goto(file.as_uri())
        return page

    yield open_file
    context.close()
    assert not complaints


def until(page: Any, expression: str) -> None:
    """Wait for something in the page to become true; its policy lets nothing else evaluate text there."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def column(page: Any, place: int) -> list[int]:
    texts = page.locator(f"#lines tbody tr td:nth-child({place})").all_inner_texts()
    return [int(text.replace("−", "-").replace("+", "")) for text in texts]


def test_it_opens_and_shows_the_first_rows(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    assert page.title() == "by-hand: report"
    assert "Merged makes" in page.locator(".say").inner_text() and "STAND-IN" in page.locator(".standin").inner_text()
    assert page.locator("#lines tbody tr").count() == 40
    assert page.locator("#count").inner_text().startswith("60 of 60 utterances")
    assert page.locator("svg.chart").count() >= 3
    assert page_file.stat().st_size < 5_000_000


def test_it_sorts_by_gain_and_back(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    gains = column(page, 7)
    assert gains == sorted(gains, reverse=True) and gains[0] > 0
    assert gains == [a - b for a, b in zip(column(page, 5), column(page, 6), strict=True)]
    head = page.locator('#lines th[data-key="gain"]')
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    losses = column(page, 7)
    assert losses == sorted(losses) and losses[0] < gains[0]
    page.locator('#lines th[data-key="a"] button').click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, 5) == sorted(column(page, 5), reverse=True)


def test_errors_are_those_of_the_scores(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    found = json.loads((page_file.parent / "report.json").read_text())["tests"]["domain-test"]["systems"]
    sums = {name: row["substitutions"] + row["deletions"] + row["insertions"] for name, row in found.items()}
    text = page.locator("#count").inner_text()
    assert f"C synthetic {sums['domain-synthetic']}" in text and f"merged {sums['merged']}" in text
    page.locator("#b").select_option(label="oracle")
    assert f"oracle {sums['domain-real']}" in page.locator("#count").inner_text()
    assert page.locator("#head-b").inner_text() == "oracle"


def test_it_filters_by_text_term_speaker_and_kind(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    count = page.locator("#count")
    page.locator("#search").fill("habeas")
    until(page, "!document.getElementById('count').textContent.startsWith('60 of')")
    shown = page.locator("#lines tbody tr").all()
    assert shown and all("habeas" in row.inner_text() for row in shown)
    assert page.locator("#lines .hit").first.inner_text() == "habeas"
    page.locator("#search").fill("")
    until(page, "document.getElementById('count').textContent.startsWith('60 of')")
    assert page.locator("#term option").all_inner_texts()[0] == "any"
    page.locator("#term").select_option("habeas corpus")
    texts = page.locator("#lines tbody td:nth-child(2)").all_inner_texts()
    assert texts and all("habeas corpus" in text for text in texts)
    page.locator("#term").select_option("")
    page.locator("#speaker").select_option(label="speaker 2")
    assert count.inner_text().startswith("15 of 60")
    page.locator("#speaker").select_option("")
    page.locator("#show").select_option("worse")
    assert all(gain < 0 for gain in column(page, 7))
    page.locator("#test").select_option(label="general-test")
    assert "of 60" in count.inner_text()


def test_words_are_marked_by_more_than_colour(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    style = "(selector) => getComputedStyle(document.querySelector('#lines ' + selector)).textDecorationLine"
    assert page.evaluate(style, "del") == "line-through"
    assert page.evaluate(style, "ins") == "underline" and page.evaluate(style, "mark") == "underline"
    mark = page.locator("#lines mark").first
    said = mark.get_attribute("title").removeprefix("instead of: ")
    assert mark.evaluate("(one) => one.nextSibling.textContent") == f" (for {said})"


def test_a_clip_plays_and_stops(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    page.locator("#show").select_option("sound")
    page.locator(".play").first.click()
    until(page, "document.getElementById('player').currentTime > 0.05")
    seconds = page.evaluate("document.getElementById('player').duration")
    said = float(
        page.locator("#lines tbody tr").first.locator(".who span").first.inner_text().split(",")[-1].split()[0]
    )
    assert abs(seconds - said) < 0.25
    page.locator(".play").first.click()
    assert page.evaluate("document.getElementById('player').paused")


def test_the_keyboard_is_enough(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator('#lines th[data-key="order"] button').focus()
    page.keyboard.press("Enter")
    assert page.locator('#lines th[data-key="order"]').get_attribute("aria-sort") == "ascending"
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.line") == "0"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.line") == "1"
    page.keyboard.press("Space")
    until(page, "document.getElementById('player').currentTime > 0.02")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.line") == "0"


def test_pages_of_rows(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    assert page.locator("#back").is_disabled()
    page.locator("#next").click()
    assert page.locator("#page").inner_text() == "page 2 of 2" and page.locator("#lines tbody tr").count() == 20
    assert page.locator("#next").is_disabled()


CONTRAST = """() => {
  const light = (channel) => (channel /= 255) <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  const value = (colour) => { const [r, g, b] = colour.match(/[0-9.]+/g).map(Number);
    return 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b); };
  const back = (node) => { for (let at = node; at; at = at.parentElement) {
    const found = getComputedStyle(at).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(found)) return found; } return "rgb(255, 255, 255)"; };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.disabled || ["OPTION", "SCRIPT", "TITLE", "DESC"].includes(node.tagName.toUpperCase())) continue;
    const style = getComputedStyle(node), ink = node.closest("svg") ? style.fill : style.color;
    const [one, other] = [value(ink), value(back(node.closest("svg") ?? node))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) poor.push(`${node.tagName} ${node.className?.baseVal ?? node.className}: ${node.textContent.slice(0, 30)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(opened: Any, page_file: Path, scheme: str) -> None:
    page = opened(page_file)
    page.emulate_media(color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(253, 253, 252)") == (scheme == "light")
    assert page.evaluate(CONTRAST) == []
    bars = page.evaluate(
        "[...new Set([...document.querySelectorAll('rect.bar')].map((one) => getComputedStyle(one).fill))]"
    )
    assert len(bars) == 4


def test_the_toggle_overrides_the_system(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    page.emulate_media(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Colours: dark" and page.evaluate(paper) != light
    page.reload()
    assert page.locator("#theme").inner_text() == "Colours: dark" and page.evaluate(paper) != light


@pytest.mark.parametrize("width", [320, 400, 768])
def test_narrow_screens_do_not_scroll_sideways(opened: Any, page_file: Path, width: int) -> None:
    page = opened(page_file)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#lines tbody tr").first.bounding_box()
    assert box["width"] <= width


def test_names_for_those_who_listen(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    for chart in page.locator("svg.chart").all():
        title, text = chart.get_attribute("aria-labelledby").split()
        assert page.locator(f"#{title}").text_content() and page.locator(f"#{text}").text_content()
    unnamed = """[...document.querySelectorAll('button, select, input')].filter((one) => !one.closest('[hidden]')
        && !one.textContent.trim() && !one.getAttribute('aria-label') && !one.labels?.length).length"""
    assert page.evaluate(unnamed) == 0
    assert page.evaluate("[...document.querySelectorAll('table')].every((one) => one.caption)")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_text_of_others_stays_text(opened: Any, tmp_path: Path) -> None:
    texts = [f"the writ {EVIL} was granted", "the lien", "a motion"] * 3
    place = finished(tmp_path / "run", texts=texts, speaker=EVIL + "{}")
    with place.folder("terms", {}, True).writing() as out:
        (out / "terms.jsonl").write_text(json.dumps({"term": EVIL}) + '\n{"term": "writ"}\n')
    report(settings(voices=EVIL, train={"tracker": EVIL}), place)
    page = opened(place.root / "report/report.html")
    page.locator("#test").select_option("1")
    assert page.evaluate("window.hurt") is None and page.locator("img").count() == 0
    assert (
        EVIL in page.locator("#lines tbody tr").first.inner_text().replace("\n", "") or page.get_by_text(EVIL).count()
    )


def test_chinese_and_right_to_left_text(opened: Any, tmp_path: Path) -> None:
    place = finished(
        tmp_path / "zh", texts=["法院 驳回 了 动议", "被告 提出 上诉"] * 4, language="zh", speaker="讲者{}"
    )
    report(settings(language="zh"), place)
    page = opened(place.root / "report/report.html")
    assert "法院驳回了动议" in page.locator("#lines tbody").inner_text()
    assert page.locator("#lines td.text").first.get_attribute("lang") == "zh"
    place = finished(tmp_path / "ar", texts=["رفضت المحكمة الطلب", "قدم المتهم استئنافا"] * 4, language="ar")
    report(settings(language="ar"), place)
    page = opened(place.root / "report/report.html")
    assert page.evaluate("getComputedStyle(document.querySelector('#lines td.text')).direction") == "rtl"
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_print_is_light_and_without_controls(opened: Any, page_file: Path) -> None:
    page = opened(page_file)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#search").is_visible() and not page.locator("#theme").is_visible()
    assert page.pdf()[:4] == b"%PDF"


def test_a_comparison_opens(opened: Any, tmp_path: Path) -> None:
    for number in (1, 2):
        report(settings(seed=number), finished(tmp_path / f"run{number}", count=8, clips=False))
    comparison([tmp_path / "run1", tmp_path / "run2"], tmp_path / "both")
    page = opened(tmp_path / "both/comparison.html")
    assert "run1" in page.locator("svg.chart").first.text_content() and page.locator("svg.chart").count() == 2
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
