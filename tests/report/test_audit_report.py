"""An audit's report says what its record says, all of it, in one file that does nothing else."""

import copy
import math
import re
from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jax_unlearn.core import InputError
from jax_unlearn.report import audit_report
from jax_unlearn.report.audit_report import report_sections, write_report
from jax_unlearn.report.formats import with_half
from jax_unlearn.report.markdown import escape as escape_markdown
from jax_unlearn.report.page import lead, words
from jax_unlearn.report.page.blocks import MARKS, Picture
from jax_unlearn.report.page.html import inline_svg, printable
from jax_unlearn.report.page.pictures import pictures
from tests.report.records import HOSTILE, cell, record


class Page(HTMLParser):
    """Words, tags and ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.words, self.open = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    paths = write_report(record(), folder)
    return folder, paths["html"].read_text(), paths["markdown"].read_text()


def sections_of(audit):
    """The sections of a report without its figures, which take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_report, "pictures", lambda audit: ([], []))
        patch.setattr(lead, "distance_picture", lambda audit: None)
        return audit_report.report_sections(audit)[1]


def sentences(audit):
    """All sentences outside tables."""
    blocks = [block for section in sections_of(audit) for block in section.blocks]
    items = [item for block in blocks for item in getattr(block, "items", ())]
    said = [item[1] if isinstance(item, tuple) else item for item in items]
    return said + [block.text for block in blocks if hasattr(block, "text")]


def table(audit, title):
    """The first table of a section, as texts with details."""
    section = next(s for s in sections_of(audit) if s.title == title)
    first = next(block for block in section.blocks if hasattr(block, "rows"))
    return [[f"{c.text} {c.detail}".strip() for c in line] for line in (first.head, *first.rows)]


# The files


def test_a_report_is_one_page_and_markdown_with_its_figures_beside_it(written):
    folder, _, markdown = written
    assert sorted(p.name for p in folder.iterdir()) == ["figures", "report.html", "report.md"]
    linked = re.findall(r"\]\((figures/.*?)\)", markdown)
    assert sorted(linked) == sorted(f"figures/{p.name}" for p in (folder / "figures").iterdir())
    assert len(linked) == 8
    with Image.open(folder / linked[0]) as image:
        assert image.format == "PNG"


def test_the_page_loads_nothing_and_runs_nothing(written):
    _, html, _ = written
    page = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert re.search(r"@import|url\((?!#)|<\?xml|<!DOCTYPE svg", html) is None
    assert set(re.findall(r'https?://[^"<\s]+', html)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in html


def test_the_page_is_made_for_phones_print_and_dark_screens(written):
    _, html, _ = written
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media print" in html
    assert "prefers-color-scheme: dark" in html
    assert "max-width: 28vw" in html
    tables = html.count("<table")
    assert tables == html.count('<div class="scroll"') > 4


def test_ids_of_all_figures_are_unique_and_every_link_within_the_page_has_its_target(written):
    page = Page(written[1])
    assert len(page.ids) == len(set(page.ids)) > 50
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert set(re.findall(r"url\(#(.*?)\)", written[1])) <= set(page.ids)


def test_the_same_record_gives_the_same_files(written, tmp_path):
    paths = write_report(record(), tmp_path)
    assert paths["html"].read_text() == written[1]
    assert paths["markdown"].read_text() == written[2]


def test_words_in_figures_are_words_and_not_outlines(written):
    assert "share of forget examples, worst first (%)" in Page(written[1]).text


def test_page_and_markdown_hold_the_same_cells_and_sentences(written):
    _, html, markdown = written
    text = Page(html).text
    for sentence in sentences(record()):
        assert " ".join(sentence.split()) in text
        assert escape_markdown(sentence) in markdown
    for line in table(record(), "Every measure"):
        assert all(piece in text for piece in line[0].split(" in "))


# Hostile text


def test_hostile_names_stay_text_everywhere(tmp_path):
    name = f"{HOSTILE}$x^$\n\x00| `a` ](javascript:x) & \" '"
    audit = record(methods=(name, "natmu"))
    audit["request"]["text"] = audit["summary"][0] = f'"><img src=x onerror=alert(1)>{HOSTILE}'
    audit["measures"][0]["title"] = audit["measures"][0]["source"] = HOSTILE
    audit["rows"][2]["flags"] = [HOSTILE]
    audit["rows"][2]["results"]["FA"]["note"] = f"</td>{HOSTILE}"
    audit["protocol"] = {HOSTILE: {"</style>": HOSTILE}}
    paths = write_report(audit, tmp_path)
    html, markdown = paths["html"].read_text(), paths["markdown"].read_text()
    page = Page(html)
    clean = Page(write_report(record(), tmp_path / "clean")["html"].read_text())
    # One word more in a list of notes; apart from that a hostile page has a harmless one's tags.
    assert set(page.tags) == set(clean.tags)
    assert "<script" not in html
    assert page.text.count("<script>") > 8
    assert "\x00" not in html
    assert re.search(r"(?<!\\)<", markdown) is None
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    heads = {len(re.findall(r"(?<!\\)\|", line)) for line in rows if "null band" in line}
    assert heads == {2 + 2 + 4 - 1}


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\ud800", "\x7f"])
def test_characters_that_no_page_may_hold_are_replaced(bad):
    assert printable(f"a{bad}b") == "a\ufffdb"


def test_dollar_signs_do_not_become_formulas_and_settings_are_left_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)
    html = write_report(record(methods=("$\\frac{", "natmu")), tmp_path)["html"].read_text()
    assert "$\\frac{" in html
    assert dict(matplotlib.rcParams) == before


def test_long_and_equal_names_stay_apart_in_figures():
    drawn, _ = pictures(record(methods=("m" * 60, "m" * 61)))
    figure = next(p.figure for p in drawn if p.slug == "roc-0")
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert len(set(labels)) == 5
    assert max(map(len, labels)) <= 29


# What the words say


def test_what_was_forgotten_is_counted():
    assert words.forgotten_sentence(record()["request"]) == (
        "Forgotten: 150 of 1500 training examples (10 %), chosen as single examples by the request "
        "random 10 %; 1350 retained, 360 test examples."
    )


def test_collapsed_and_unchanged_models_are_named():
    audit = record()
    audit["models"]["methods"]["mumis"] |= {"collapsed": 2, "no_op": 1}
    assert words.methods_sentence(audit["models"]) == (
        "Unlearned models: NatMU 8, MU-Mis 8 (2 collapsed, left out of every number; 1 unchanged "
        "from the original)."
    )


def test_a_request_without_a_hash_names_the_ids_alone():
    audit = record()
    assert ["hash of the request", "3f2a9c0d"] in table(audit, "Protocol")
    audit["request"]["hash"] = ""
    assert not any("hash of the request" in line for line in table(audit, "Protocol"))
    assert ["hash of the ids", "77aa"] in table(audit, "Protocol")


def test_which_measures_are_informative_follows_from_the_original():
    audit = record()
    assert "Uninformative here, because the original itself" in words.uninformative_sentence(audit)
    assert "Average gap" in words.uninformative_sentence(audit)
    audit["uninformative"] = []
    assert (
        words.uninformative_sentence(audit) == "Every measure tells the original from retraining."
    )
    audit["models"]["original"] = 0
    assert "it is not known which" in words.uninformative_sentence(audit)
    assert "No original model was given" in " ".join(words.compared_sentences(audit))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (math.nan, "\u2013"),
        (math.inf, "\u221e"),
        (0, "0"),
        (0.5, "0.500"),
        (-1.234, "-1.23"),
        (123.44, "123.4"),
        (0.00012, "1.2e-04"),
    ],
)
def test_numbers_have_about_three_figures(value, text):
    assert words.number(value) == text


def test_no_sentence_speaks_of_power(written):
    for text in written[1:]:
        assert re.search(r"\bpower", text, re.IGNORECASE) is None
        assert "not to be told" not in text


# The verdicts


def test_the_page_begins_with_what_was_forgotten_and_whether_it_worked():
    audit = record() | {"settings": {"data": {"name": "digits"}}}
    title, _ = report_sections(audit)
    sections = sections_of(audit)
    assert title == "Forgetting random 10\u00a0%: NatMU and MU-Mis fail"
    assert dict(sections[0].blocks[0].items) == {
        "Forgotten": "150 of 1500 training images of digits (random 10 %), by NatMU and MU-Mis.",
        "Verdict": "NatMU and MU-Mis fail: each can be told from retraining on more measures than "
        "chance explains.",
        "How sure": "8 models of each method and 16 retrained models (oracles); by chance up to 0 "
        "measures lie outside. The original, which forgot nothing, fails, and held-out oracles "
        "pass: as must be.",
        "Cost": "2 s (NatMU) per model, 10 % of the time of retraining.",
    }
    assert all(section.folded for section in sections[1:])


def outcomes_of(*given):
    names = tuple(f"m{i}" for i in range(len(given)))
    audit = record(methods=names)
    for row, outcome in zip(audit["rows"][2:], given, strict=True):
        row["verdict"]["outcome"] = outcome
    return lead.outcomes(audit)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["passes"], "m0 passes"),
        (["fails", "passes"], "m1 passes; m0 fails"),
        (["cannot be judged"] * 2, "m0 and m1 cannot be judged"),
        (["passes"] * 4, "all 4 methods pass"),
        (["fails"] * 4, "none of 4 methods passes"),
        (["cannot be judged"] * 4, "none of 4 methods can be judged"),
        (["passes", *["fails"] * 4], "m0 passes; 4 methods fail"),
    ],
)
def test_a_verdict_has_one_wording(given, said):
    assert outcomes_of(*given) == said


def test_a_reason_that_all_share_is_said_once_and_a_name_stays_as_it_is():
    audit = record(methods=("mine",))
    for row in audit["rows"]:
        row["verdict"] |= {"outcome": "cannot be judged", "reason": "no verdict below 4 oracles"}
    said, verdicts = lead.lead_blocks(audit)[:2]
    assert dict(said.items)["Verdict"] == "mine cannot be judged: no verdict below 4 oracles."
    assert [line[1].detail for line in verdicts.rows] == ["", "", ""]


def test_where_the_answer_is_known_a_wrong_one_is_a_warning():
    audit = record()
    audit["rows"][0]["verdict"]["outcome"] = "passes"
    audit["rows"][1]["verdict"]["outcome"] = "fails"
    sure = dict(lead.lead_blocks(audit)[0].items)["How sure"]
    assert "Beware: the original, which forgot nothing, passes." in sure
    assert "Beware: held-out oracles, which are retrained, fail." in sure


def test_methods_stand_first_those_that_pass_on_top_with_what_decided_beside_numbers(tmp_path):
    audit = record()
    why = "no verdict below 4 oracles; train 2 more"
    audit["rows"][2]["verdict"] |= {"outcome": "cannot be judged", "reason": why}
    audit["rows"][3]["verdict"]["reason"] += "; outside on 3 of 4 measures"
    audit["rows"][3]["flags"] = ["no-op"]
    rows = lead.verdict_table(audit).rows
    assert [(line[0].text, line[1].mark) for line in rows] == [
        ("MU-Mis", "fails"),
        ("NatMU", "cannot be judged"),
        ("original", "fails"),
        ("oracle", "passes"),
    ]
    assert [line[1].detail for line in rows] == [
        "Outside on 3 of 4 measures.",
        "No verdict below 4 oracles; train 2 more.",
        *("", ""),
    ]
    assert [line[2].text for line in rows] == ["1 of 2", "1 of 2", "2 of 3", "0 of 3"]
    assert [line[3].detail for line in rows] == ["10 % of retraining"] * 2 + [""] * 2
    assert rows[0][0].detail == "no-op"
    paths = write_report(audit, tmp_path)
    html, markdown = paths["html"].read_text(), paths["markdown"].read_text()
    assert '<td class="cannot-be-judged"><span class="mark">?\u00a0cannot' in html
    assert "| NatMU | ? cannot be judged: No verdict below 4 oracles" in markdown


def test_hashes_and_level_come_after_the_verdicts(written):
    text = Page(written[1]).text
    assert text.index("by chance up to 0") < text.index("3f2a9c0d")
    assert text.index("Every measure") < text.index("strong")


def test_every_measure_says_what_is_good():
    audit = record()
    audit["measures"][0]["good"] = "good is what retraining has"
    assert "good is what retraining has" in table(audit, "Every measure")[1][0]
    assert table(audit, "What the measures mean")[1][1] == "Good is what retraining has."


def test_what_the_table_of_verdicts_says_is_not_said_twice():
    audit = record()
    reason = audit["rows"][2]["verdict"]["reason"]
    audit["summary"] += [f"NatMU fails: {reason} (Forget accuracy).", "By gap: NatMU."]
    said = [s for s in sentences(audit) if "informative measures" in s]
    assert said == []
    assert "By gap: NatMU." in sentences(audit)


@pytest.mark.parametrize("mark", MARKS)
def test_every_mark_has_its_style(written, mark):
    assert f".{mark.replace(' ', '-')} .mark" in written[1]


def test_no_style_is_left_of_a_mark_that_is_gone(written):
    styled = set(re.findall(r"\.([a-z-]+) \.mark", written[1]))
    assert styled == {mark.replace(" ", "-") for mark in MARKS} | {"lead", "verdicts"}


def test_how_far_the_course_strayed_is_in_the_report():
    end = {"value": 4.0, "low": 3.0, "high": 5.0, "n": 8}
    courses = {
        "oracle": 88.0,
        "methods": {"natmu": dict.fromkeys(("worst", "overshoot", "area"), end)},
    }
    assert table(record() | {"courses": courses}, "On the way")[1] == [
        "NatMU",
        "8",
        *["4.00 3.00 to 5.00"] * 3,
    ]


# The tables


def test_the_table_has_bands_marks_intervals_and_n():
    head, *rows = table(record(), "Every measure")
    assert head[1:] == [
        *("NatMU", "MU-Mis", "original", "oracle"),
        "null band oracles among themselves",
    ]
    fa, gap, _ = rows
    assert fa[0] == "Forget accuracy in %"
    assert fa[-1] == "83.60 to 92.40 median 88.00, n\u00a08"
    assert fa[1] == "96.80 95.83 to 97.77, n\u00a08"
    assert gap[-1].startswith("up to 1.26")


def test_marks_are_words_and_shapes_in_page_and_markdown(written):
    _, html, markdown = written
    for text in ("\u25cf\u00a0inside", "\u25b2\u00a0outside", "\u25cb\u00a0uninformative"):
        assert text in html
        assert text.replace("\u00a0", " ") in markdown


def test_a_row_of_fewer_models_shows_the_band_it_is_judged_by():
    audit = record()
    audit["rows"][2]["results"]["FA"]["band"] = [80.0, 96.0]
    audit["rows"][3]["results"]["FA"]["band"] = [0.95 * 88.0, 1.05 * 88.0]
    fa = table(audit, "Every measure")[1]
    assert fa[1].endswith("band 80.00 to 96.00")
    assert "band" not in fa[2]


def test_notes_are_numbered_once_and_written_out_below():
    audit = record()
    for r in audit["rows"][2:]:
        r["results"]["FA"] = cell(None, "", 0, "needs 3 models; 1 given")
    assert [line[1:3] for line in table(audit, "Every measure")][1] == ["\u2013 (1)", "\u2013 (1)"]
    assert "(1) needs 3 models; 1 given" in sentences(audit)


def test_one_seed_has_no_interval_and_that_is_said():
    audit = record()
    audit["rows"][2]["results"]["FA"] |= {"low": None, "high": None, "n": 1}
    assert table(audit, "Every measure")[1][1] == "96.80 no interval, n\u00a01"


def test_the_interval_of_two_seeds_says_nothing_and_is_left_out():
    audit = record()
    audit["rows"][2]["results"]["FA"]["n"] = 2
    assert table(audit, "Every measure")[1][1] == "96.80 no interval, n\u00a02"
    assert with_half({"value": 5.0, "low": -6.6, "high": 16.6, "n": 2}) == "5.000 ±-"
    assert with_half({"value": 5.0, "low": 4.0, "high": 6.0, "n": 3}) == "5.000 ±1.000"


def test_a_measure_without_any_value_is_listed_with_its_needs():
    audit = record()
    for r in audit["rows"]:
        r["results"]["ulira_auc"] = cell(None, "", 0, "2 oracles are too few")
    assert "U-LiRA AUC" not in [line[0] for line in table(audit, "Every measure")]
    assert "U-LiRA AUC: needs 1 model (2 oracles are too few)." in sentences(audit)
    for r in audit["rows"]:
        r["results"] = {}
    assert "No measure gave a value." in sentences(audit)


def test_rankings_show_place_interval_n_and_what_is_open():
    head, first, _ = table(record(), "Ranking")
    assert head == ["Average gap lowest first", "value", "95 % interval", "n"]
    assert first == ["1. NatMU", "1.30", "1.20 to 1.40", "8"]
    assert "Average gap: Cannot be told apart: all." in sentences(record())
    audit = record() | {"ranking": []}
    assert any(s.endswith("more oracles (--oracles 4) give one.") for s in sentences(audit))
    audit = record(methods=("natmu",)) | {"ranking": []}
    assert any("it takes two methods, and there is 1; audit" in s for s in sentences(audit))


@pytest.mark.parametrize(
    ("measure", "rule"),
    [
        ("gap", "lowest first"),
        ("svc", "highest first"),
        ("FA", "nearest first to 88.00, the middle of the null band"),
        ("ulira_auc", "nearest first to 0.500, what retraining is expected to have"),
        ("RA", "lowest first"),
    ],
)
def test_a_ranking_says_what_it_goes_by(measure, rule):
    audit = record()
    more = {"title": "", "oracle_value": None}
    audit["measures"] += [{"name": "svc", "outside": "below", **more}, {"name": "RA", **more}]
    del audit["bands"]["ulira_auc"]
    assert words.ranking_rule(audit, measure) == rule


def test_rankings_and_bands_name_only_the_ends_that_count():
    assert table(record(), "Ranking")[0][0] == "Average gap lowest first"
    bands = {line[0]: line[-1].split(" median")[0] for line in table(record(), "Every measure")}
    assert bands["Average gap in points"] == "up to 1.26"
    assert bands["Forget accuracy in %"] == "83.60 to 92.40"


def test_every_method_has_its_time_beside_retraining():
    audit = record(methods=("natmu", "mumis", "salun"))
    del audit["curves"]["seconds"]
    methods = audit["models"]["methods"]
    methods["natmu"]["seconds"] = [1.0, 3.0]
    methods["natmu"]["files"] = [{"path": "a", "compile_seconds": s} for s in (2.0, 4.0)]
    methods["mumis"] |= {"seconds": [40.0, None], "files": []}
    methods["salun"] |= {"seconds": [None, None], "files": []}
    audit["files"] = {"oracle": [{"path": "o", "seconds": s} for s in (19.0, 21.0)]}
    head, *lines = table(audit, "Methods")
    assert head[:5] == ["method", "models", "run time", "of retraining", "compile time"]
    assert [line[0] for line in lines] == ["oracle", "NatMU", "MU-Mis", "SalUn"]
    assert lines[0][1:4] == ["16", "20 s n\u00a02", "100 %"]
    assert lines[1][2:5] == ["2 s n\u00a02", "10 %", "3 s"]
    assert lines[2][2:5] == ["40 s n\u00a01", "200 %", "-"]
    assert lines[3][2:5] == ["-", "-", "-"]
    audit["files"] = {}
    assert [line[3] for line in table(audit, "Methods")[1:]] == ["-"] * 4


def test_methods_show_their_arguments_and_how_they_ended():
    _, _, natmu, _ = table(record(), "Methods")
    assert natmu[5:] == ["0", "0", "finished 8"]
    assert "NatMU: learning_rate = 0.01, mask.size = 4." in sentences(record())
    audit = record()
    more = {"lr": 4.430375245218267e-05, "masks": "gradual", "on": True, "version": "1.2.3"}
    audit["models"]["methods"]["natmu"]["arguments"] = more
    text = "lr = 4.43e-05, masks = gradual, on = true, version = 1.2.3"
    assert f"NatMU: {text}." in sentences(audit)
    audit["models"]["methods"]["natmu"] |= {"arguments": None, "statuses": {}}
    assert table(audit, "Methods")[2][7] == "not reported"
    assert "NatMU: not known." in sentences(audit)


def test_the_legend_is_folded_and_explains_every_measure(written):
    legend = next(s for s in sections_of(record()) if s.title == "What the measures mean")
    assert legend.folded
    assert [line[0].text for line in legend.blocks[0].rows] == [
        "Forget accuracy",
        "Average gap",
        "U-LiRA AUC",
    ]
    assert [legend.blocks[0].rows[0][0].detail, legend.blocks[0].rows[0][5].text] == [
        "FA",
        "200 splits",
    ]
    assert written[1].count("<details>") == len(sections_of(record())) - 1


def test_references_are_among_the_files_behind_the_audit():
    audit = record() | {"files": {"oracle": [{"path": "p/oracle.npz"}], "subsets": []}}
    lines = table(audit, "Predictions behind this audit")
    assert lines[1] == ["oracle", "1", "p/oracle.npz"]
    assert [line[0] for line in lines[2:]] == ["NatMU", "MU-Mis"]


def test_measures_beyond_predictions_are_listed():
    more = [{"name": "relearn", "title": "Relearn time", "does": "steps", "needs": "weights"}]
    assert "Relearn time: steps; needs weights." in sentences(record() | {"not_measured": more})


# The figures


def test_every_figure_is_drawn_in_order():
    drawn, omitted = pictures(record())
    slugs = (
        "roc-0",
        "roc-1",
        "epsilon",
        "densities",
        "gap-time",
        "examples",
        "forget-accuracy",
    )
    assert tuple(p.slug for p in drawn) == slugs
    assert len(omitted) == 1
    assert omitted[0].startswith("Distance to the oracle by two measures: not drawn, because")


def test_methods_are_drawn_by_two_measures_where_both_are_known():
    audit = record()
    audit["bands"]["KL_forget"] = {"low": 0.0, "high": 0.03, "median": 0.02, "n": 8, "how": ""}
    audit["rows"][2]["results"]["KL_forget"] = cell(0.05)
    drawn, _ = pictures(audit)
    figure = next(p.figure for p in drawn if p.slug == "gap-kl")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["NatMU"].get_xydata().tolist() == [[0.05, pytest.approx(1.32)]]
    assert "MU-Mis" not in lines


@pytest.mark.parametrize("empty", [None, {}, "absent"])
def test_missing_curves_leave_out_their_figure_and_say_so(empty, tmp_path):
    audit = record()
    audit["curves"] = {} if empty == "absent" else dict.fromkeys(audit["curves"], empty)
    drawn, omitted = pictures(audit)
    assert drawn == []
    assert len(omitted) == 7
    assert omitted[0] == (
        "ROC of the attacks: not drawn, because the audit holds no such data; 16 models of each "
        "method and 32 oracles have it, as experiments.bank --count 32 trains them."
    )
    assert "bank by experiments.bank --watch or in a run's folder" in omitted[-1]
    assert omitted[0] in write_report(audit, tmp_path)["markdown"].read_text()
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["distances.png"]


def test_a_curve_that_cannot_be_drawn_says_why_and_leaves_the_others():
    audit = record()
    audit["curves"]["epsilon"]["natmu"] = [-1.0]
    audit["curves"]["density"]["natmu"] = [None, None]
    drawn, omitted = pictures(audit)
    assert len(drawn) == 6
    assert len(omitted) == 2
    assert "epsilon['natmu']" in omitted[0]


def test_without_an_original_the_course_still_begins_where_the_runs_did():
    audit = record()
    del audit["rows"][0]
    drawn, _ = pictures(audit)
    figure = drawn[-1].figure
    assert "original  100.0" in {t.get_text() for t in figure.axes[0].get_legend().get_texts()}


def test_an_svg_carries_its_description_and_prefixed_ids():
    drawn, _ = pictures(record())
    svg = inline_svg(drawn[0])
    assert svg.startswith('<svg role="img" aria-label="ROC of U-LiRA"')
    assert svg.endswith("</svg>")
    assert all(i.startswith("roc-0-") for i in re.findall(r'\bid="(.*?)"', svg))


# Bad input


def test_a_record_of_another_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="audit: format 3: expected 2; make it again"):
        write_report(record() | {"format": 3}, tmp_path)
    with pytest.raises(InputError, match="audit: format None"):
        write_report({}, tmp_path)


def test_a_record_that_lacks_a_part_is_refused(tmp_path):
    audit = copy.copy(record())
    del audit["bands"], audit["notes"]
    with pytest.raises(InputError, match="audit: lacks bands, notes: expected the record"):
        write_report(audit, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Figures of the caller


def given(slug):
    return Picture(slug, "what it shows", Figure(figsize=(2, 2)))


@pytest.mark.parametrize(
    "slug", ["", "../../escaped", 'x" onload="y', "A", "a b", "a.b", "ä", None]
)
def test_a_slug_that_could_leave_the_folder_or_its_attribute_is_refused(slug):
    with pytest.raises(
        InputError, match=r"slug=.*expected one or more of a-z, 0-9 and -"
    ) as refused:
        given(slug)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("slugs", [["roc-0"], ["mine", "mine"]])
def test_a_slug_of_another_figure_is_refused_before_anything_is_written(slugs, tmp_path):
    with pytest.raises(InputError, match="expected one that no other figure of the report has"):
        write_report(record(), tmp_path, figures=[given(slug) for slug in slugs])
    assert list(tmp_path.iterdir()) == []


def test_figures_of_the_caller_and_settings_are_in_the_report(tmp_path):
    audit = record() | {"settings": {"training": {"epochs": 30}}}
    paths = write_report(audit, tmp_path, figures=[given("mine-2")])
    assert "![what it shows](figures/mine-2.png)" in paths["markdown"].read_text()
    assert (tmp_path / "figures" / "mine-2.png").is_file()
    assert 'aria-label="what it shows"' in paths["html"].read_text()
    assert ["training.epochs", "30"] in table(audit, "Settings")
