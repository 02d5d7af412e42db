"""The API reference: every public name is in it, as its docstring and signature say."""

import html
import inspect
import re
import warnings

import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError

pytest.importorskip("pdoc")

from experiments.docs import command as docs
from experiments.docs.pages import PACKAGES


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The text of each page by its name; a warning would have been an error."""
    out = tmp_path_factory.mktemp("docs")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        written = docs.write_reference(out)
    assert (out / "index.html").exists()
    return {str(path.relative_to(out)): path.read_text("utf-8") for path in written}


def entry_of(page, name):
    """What stands in a page from a name's heading to that of the next name, without marks."""
    start = page.index(f'<section id="{name}">')
    end = page.find('<section id="', start + 1)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page[start:end])).split())


def words_of(text):
    """A docstring's first line, as it is shown."""
    line = inspect.cleandoc(text).partition("\n\n")[0]
    line = re.sub(r":\w+:`~?([^`]+)`", r"\1", line)
    return re.sub(r"[`()]", "", " ".join(line.split()))


@pytest.mark.parametrize("name", [name for name in dir(ju) if name != "__version__"])
def test_a_public_name_has_its_docstring_and_its_signature(pages, name):
    entry = entry_of(pages["jax_unlearn.html"], name)
    value = getattr(ju, name)
    if not callable(value):
        assert re.search(rf"^{name}( =|: )", entry)
        assert len(entry) > len(name) + 20
        return
    assert words_of(value.__doc__) in re.sub(r"[`()]", "", entry)
    parameters = [] if value is InputError else inspect.signature(value).parameters
    missing = [one for one in parameters if one not in entry]
    assert missing == []


def test_every_package_has_a_page_with_all_that_it_offers(pages):
    for package in PACKAGES:
        page = pages[f"jax_unlearn/{package}.html"]
        assert f'href="jax_unlearn/{package}.html"' in pages["jax_unlearn.html"]
        module = __import__(f"jax_unlearn.{package}", fromlist=["x"])
        offered = getattr(module, "__all__", [])
        assert [name for name in offered if f'<section id="{name}">' not in page] == []


def test_types_go_by_the_names_that_users_import(pages):
    for page in pages.values():
        shown = html.unescape(re.sub(r"<[^>]+>", "", page))
        assert not re.search(r"\bjax\w*\._\w|optax\._src|ForwardRef|Alias for field", shown)
    _, _, after = pages["jax_unlearn.html"].partition('id="Model.logits"')
    assert "images: jax.Array" in html.unescape(re.sub(r"<[^>]+>", "", after[:2000]))


def test_arguments_are_a_list_and_roles_of_another_markup_are_gone(pages):
    page = pages["jax_unlearn.html"]
    assert "<strong>delta:</strong>" in page
    for text in pages.values():
        assert not re.search(r":(class|func|mod|meth):`", text)
        assert "`~" not in text


def test_without_pdoc_one_line_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pdoc", None)
    with pytest.raises(InputError, match=r"^docs: expected the package pdoc; pip install"):
        docs.write_reference(tmp_path)
