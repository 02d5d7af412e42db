"""A page whose tables sort runs one script, which its policy names by digest; others run none."""

import base64
import hashlib
import re

from jax_unlearn.report.page.blocks import Cell, Section, Table
from jax_unlearn.report.page.html import html_page


def page(*, sortable):
    unknown = float("nan")
    rows = [[Cell("NatMU"), Cell("1.50", order=1.5)], [Cell("SalUn"), Cell("-", order=unknown)]]
    return html_page("t", [Section("s", [Table([Cell("a"), Cell("b")], rows, sortable=sortable)])])


def test_the_policy_allows_exactly_the_script_of_the_page():
    text = page(sortable=True)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "<script" not in page(sortable=False)
    assert "script-src" not in page(sortable=False)


def test_heads_are_buttons_and_cells_say_what_they_are_sorted_by():
    text = page(sortable=True)
    assert text.count('aria-sort="none"><button type="button">') == 2
    assert re.findall(r'data-order="(.*?)"', text) == ["1.5", "nan"]
    assert "<button" not in page(sortable=False)


def test_an_image_stands_above_the_text_of_its_cell():
    image = "data:image/png;base64,AAAA"
    rows = [[Cell("7", "class 3", image=image)]]
    text = html_page("t", [Section("s", [Table([Cell("example")], rows)])])
    assert f'<img class="example" src="{image}" alt="">7' in text
