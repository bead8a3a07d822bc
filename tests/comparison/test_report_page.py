"""The page: well-formed, self-contained, readable without color, and working in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from accelc.comparison.model import Comparison, NotRun
from accelc.comparison.svg import decades, ticks

VOID = {"meta", "input", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """A parsed page: whether its tags nest, every link, ids and what refers to them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


def test_tags_nest_and_ids_are_unique(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_nothing_is_fetched(text: str) -> None:
    page = Page(text)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not {"link", "iframe", "img", "object", "base"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", text)


def test_every_fill_pattern_is_defined(text: str) -> None:
    used = set(re.findall(r"url\(#(\w+)\)", text))
    assert used
    assert used <= set(Page(text).ids)


def test_every_run_layer_and_command_is_on_the_page(text: str, comparison: Comparison) -> None:
    for run in comparison.runs:
        assert html.escape(run.command) in text
        assert all(html.escape(row.layer.name) in text for row in run.layers)
    assert all(facts.chip.fingerprint in text for facts in comparison.chips)
    assert html.escape(comparison.environment.command) in text


def test_charts_name_their_units(text: str) -> None:
    units = {"latency": "[mu]s", "energy": "[mu]J", "utilization of the array": "%", "DRAM traffic": "[KM]iB"}
    for title, unit in units.items():
        assert re.search(rf"{title} \({unit}\)", text)


def test_names_cannot_break_the_page(comparison: Comparison) -> None:
    hostile = NotRun("<script>alert(1)</script>", '"><b>', "ws", "a & b < c")
    page = replace(comparison, not_run=(hostile,)).html()
    assert "<script>alert" not in page
    assert Page(page).open == []


def test_axis_marks_are_round_and_cover_the_values() -> None:
    assert ticks(9.3) == [0, 2, 4, 6, 8, 10]
    assert ticks(0) == [0, 1]
    assert all(ticks(10.0**k * 3.7)[-1] >= 10.0**k * 3.7 for k in range(-9, 9))
    assert decades(3, 2000) == [1, 10, 100, 1000, 10000]
    assert decades(10, 10) == [10, 100]


LISTEN = """<script>window.errors = [];
window.addEventListener("error", (e) => errors.push(String(e.message)));
for (const name of ["error", "warn"]) console[name] = (...words) => errors.push(words.join(" "));</script>"""

# Clicks every column head twice, reading the order back each time; then tries a filter, a search and the drawings.
TRY = """<script>
const found = { tables: 0, columns: 0, wrong: [], errors: window.errors };
const read = (table, k, n) => [...table.tBodies[0].rows].map((r) => {
  const v = r.cells[k].dataset.v ?? r.cells[k].textContent.trim(); return n ? Number(v) : v; });
for (const table of document.querySelectorAll("table")) {
  found.tables += 1;
  const count = table.tBodies[0].rows.length;
  for (const head of table.tHead.rows[0].cells) {
    const n = head.classList.contains("n"), k = head.cellIndex;
    for (const way of ["ascending", "descending"]) {
      head.querySelector("button").click();
      const v = read(table, k, n), sign = way === "ascending" ? 1 : -1;
      const less = (a, b) => n ? a - b : a.localeCompare(b, "en", { numeric: true });
      const sorted = v.every((x, i) => i === 0 || sign * less(v[i - 1], x) <= 0) && !(n && v.some(Number.isNaN));
      if (!sorted || head.getAttribute("aria-sort") !== way || v.length !== count) found.wrong.push([table.id, k, way]);
    }
    found.columns += 1;
  }
}
const shown = () => [...document.querySelectorAll("#layers tbody tr")].filter((r) => r.offsetHeight > 0).length;
found.all = shown();
const select = document.querySelector("#box-layers select[data-facet=chip]");
select.value = "edge"; select.dispatchEvent(new Event("input")); found.edge = shown();
const search = document.querySelector("#box-layers input");
search.value = "no such layer"; search.dispatchEvent(new Event("input")); found.none = shown();
found.said = document.querySelector("#box-layers output").textContent;
const pictures = [...document.querySelectorAll("svg[role=img]")];
found.drawings = pictures.filter((picture) => picture.getBoundingClientRect().height > 60).length;
found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const out = document.createElement("pre"); out.id = "found"; out.textContent = JSON.stringify(found);
document.body.append(out);
</script>"""


def browse(page: Path, profile: Path) -> dict[str, Any]:
    """Return what the trial script found in headless Chromium."""
    browser = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no chromium on this machine: the report was not opened in a browser")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]
    command += ["--disable-dev-shm-usage", f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return dict(json.loads(html.unescape(found.group(1))))


def test_tables_sort_and_filter_in_a_browser_without_errors(text: str, comparison: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(text.replace("<head>", f"<head>{LISTEN}").replace("</body>", f"{TRY}</body>"), encoding="utf-8")
    found = browse(page, tmp_path / "profile")
    assert found["errors"] == []
    assert found["wrong"] == []
    assert found["tables"] >= 13
    assert found["columns"] > 100
    layers = {run.key: len(run.layers) for run in comparison.runs}
    assert found["all"] == sum(layers.values())
    assert found["edge"] == sum(count for key, count in layers.items() if "/edge/" in key)
    assert found["none"] == 0
    assert found["said"] == f"0 of {found['all']} rows"
    assert found["drawings"] == 2 * 5 + 2 + 2 * 2 + 3 * len(comparison.runs)
    assert found["wide"] <= 0, "the page scrolls sideways"


def test_the_browser_trial_notices_a_broken_page(text: str, tmp_path: Path) -> None:
    """A page whose sorting does nothing, and whose script raises, must not pass."""
    page = tmp_path / "report.html"
    broken = text.replace("table.tBodies[0].append(...rows);", "console.error('broken');")
    assert broken != text
    page.write_text(broken.replace("<head>", f"<head>{LISTEN}").replace("</body>", f"{TRY}</body>"), encoding="utf-8")
    found = browse(page, tmp_path / "profile")
    assert found["wrong"]
    assert "broken" in found["errors"]
