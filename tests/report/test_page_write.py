"""The files of a report."""

import base64
import csv
import hashlib
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from mtlgym.bench.runs.cell import CELLS, LOG
from mtlgym.cli.report import report
from mtlgym.report.page import write_page
from mtlgym.report.sections import EMBEDDED
from tests.report import page_runs

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ODD = ["", "_hidden", "名前 😀", "a\x00b\ud800\n", "$", "${x", "x" * 300, "%s{}\\", "=1+1"]


class Page(HTMLParser):
    """Tags with their attributes, and the text within scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside = [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.lasttag in ("script", "style"):
            self.inside[self.lasttag] = self.inside.get(self.lasttag, data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def svg_of(image):
    kind, _, content = image["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    runs = page_runs.write(
        tmp_path_factory.mktemp("runs"), page_runs.many(2), rows=lambda r: 6 - r["seed"]
    )
    out = tmp_path_factory.mktemp("report")
    assert write_page(out, runs, now=NOW) == out / "index.html"
    return out


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "index.html").read_text())


def test_a_label_is_text_wherever_it_stands(folder, page):
    text = (folder / "index.html").read_text()
    assert text.count("<script>") == text.count("</script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_page_refers_to_nothing_but_itself(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "style"):
            if name in attributes:
                assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    anchors = {a["href"] for a in page.all("a")}
    assert anchors <= {f"#{a['id']}" for _, a in page.tags if "id" in a}


def test_the_policy_allows_the_pages_own_style_and_script_alone(page):
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_every_picture_has_an_alternative_text_and_a_file(folder, page):
    images = page.all("img")
    assert len(images) == len(list(folder.glob("*.png"))) > 8
    assert all(len(image["alt"]) > 20 for image in images)
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    for image in images:
        root = ET.fromstring(svg_of(image))
        assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) > 3


def test_embedded_data_are_marked_on_every_table_figure_and_row(folder, page):
    text = (folder / "index.html").read_text()
    titles = re.findall(r'<p class="title">(.*?)</p>', text)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert len(titles) > 5
    for title in titles:
        assert (EMBEDDED in title) == ("MTL-Bandit" not in title)
    for caption, image in zip(captions, page.all("img"), strict=True):
        embedded = "MTL-Bandit" not in image["alt"]
        assert (EMBEDDED in caption) == (EMBEDDED.encode() in svg_of(image)) == embedded
    with (folder / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["data"], row["note"]) for row in rows} == {
        ("embedded", EMBEDDED),
        ("synthetic", ""),
    }


def test_the_parts_come_in_their_order_and_failures_are_told(folder):
    text = (folder / "index.html").read_text()
    parts = re.findall(r'<section id="(.*?)">', text)
    assert parts == [
        *("summary", "environments", "aggregates", "curves", "decisions", "routes"),
        *("trade-off", "bandits", "tuning", "settings"),
    ]
    assert "uw, seed 2: loss of task &#39;depth&#39; is not finite" in text
    assert "2026-11-28 12:00 UTC" in text
    assert "torch 2.13.0" in text
    assert "regret and shortfall" in text
    assert "8 trials by validation" in text


def test_the_same_runs_and_seed_give_the_same_bytes(tmp_path):
    found = [page_runs.result(agent, seed) for agent in ("equal", "uw") for seed in range(8)]
    runs = page_runs.write(tmp_path / "runs", found)
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_page(tmp_path / name, runs, seed, NOW)
        paths = sorted((tmp_path / name).iterdir())
        contents.append({path.name: path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    assert contents[0]["aggregates.csv"] != contents[2]["aggregates.csv"]
    assert contents[0]["runs.csv"] == contents[2]["runs.csv"]


@pytest.mark.parametrize("kind", page_runs.ENVS)
def test_one_run_of_one_agent_makes_a_report(kind, tmp_path):
    tasks = len(page_runs.TASKS[kind])
    policy = {"probabilities": [1 / tasks] * tasks, "task_sizes": [1] * tasks}
    found = [page_runs.result("uw", 0, kind, **policy)]
    text = write_page(
        tmp_path / "out", page_runs.write(tmp_path / "runs", found, rows=1)
    ).read_text()
    assert ("Policies at the end" in text) == (kind != "routing")
    assert "1 run of 1 agent in 1 environment, from 1 seed each; none failed." in text
    assert "Each agent has one run, so there are no intervals." in text
    assert "nothing to compare" in text


def test_names_with_odd_characters_are_written_and_drawn(tmp_path):
    found = [page_runs.result("equal", 0)]
    found += [page_runs.result(f"a{i}", 0, label=label) for i, label in enumerate(ODD)]
    page = Page(write_page(tmp_path / "out", page_runs.write(tmp_path, found)).read_text())
    for image in page.all("img"):
        ET.fromstring(svg_of(image))
    with (tmp_path / "out" / "runs.csv").open() as file:
        assert "'=1+1" in [row["name"] for row in csv.DictReader(file)]


def test_runs_without_logs_make_a_report_without_curves(tmp_path):
    found = [page_runs.result(agent, 0) for agent in ("equal", "uw")]
    runs = page_runs.write(tmp_path / "runs", found)
    for path in (runs / found[0]["env"] / CELLS).glob(f"*/{LOG}"):
        path.unlink()
    with pytest.warns(UserWarning, match="missing or damaged"):
        text = write_page(tmp_path / "out", runs).read_text()
    assert 'id="curves"' not in text
    assert 'id="trade-off"' in text


def test_runs_that_all_broke_down_make_a_report(tmp_path):
    broken = {"failure": "broke", "delta_m": None, "test": {"depth/abs_err": None}}
    found = [page_runs.result(agent, 0, **broken) for agent in ("equal", "uw")]
    text = write_page(tmp_path / "out", page_runs.write(tmp_path / "runs", found)).read_text()
    assert "2 failed" in text
    assert "uw, seed 0: broke" in text


def test_a_folder_without_runs_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=f"`runs` .* none below {tmp_path}"):
        write_page(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_command_says_where_the_report_is(tmp_path, capsys):
    runs = page_runs.write(tmp_path / "runs", [page_runs.result("uw", 0)])
    assert report(runs, tmp_path / "out") == 0
    assert "index.html" in capsys.readouterr().out.replace("\n", "")
    assert (tmp_path / "out" / "index.html").exists()
