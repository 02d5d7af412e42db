"""What CONTRIBUTING.md says of the code is true of it."""

import pathlib
import re
import sys

import jax
import pytest

import jax_unlearn as ju
from jax_unlearn import data

PACKAGE = pathlib.Path(ju.__file__).parent
TEXT = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
WAY = TEXT.partition("## The way of an image")[2].partition("\n## ")[0]
STOPS = re.findall(r"^\d+\. `(.+?)`:", WAY, re.MULTILINE)


def test_every_file_on_the_way_of_an_image_and_beside_it_exists():
    assert len(STOPS) >= 10
    files = re.findall(r"`([a-z_/]+\.py)`", WAY)
    assert len(files) > len(STOPS)
    assert [name for name in files if not (PACKAGE / name).is_file()] == []


def test_every_folder_of_tests_is_a_folder_of_the_package():
    tests = pathlib.Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    of_library = {folder for folder in folders if folder.parts[:1] != ("experiments",)}
    assert len(of_library) >= 10
    assert sorted(folder for folder in of_library if not (PACKAGE / folder).is_dir()) == []


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """Files of the package of which a function runs between `load` and the end of `run`."""
    cache = tmp_path_factory.mktemp("cache")
    data.load("digits", cache_dir=cache)
    found = set()

    def note(frame, event, argument):
        del event, argument
        found.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        digits = data.subset(data.load("digits", cache_dir=cache), 100, 20)
        forget, retain = data.split(digits, data.by_class(digits, 3))
        model = ju.make_model("resnet8", 10, (8, 8, 1), width=1)
        problem = ju.Problem(model, model.init(jax.random.key(0)), forget, retain, 10)
        method = ju.natmu(epochs=1, batch_size=50, num=1)
        ju.run(method, problem, jax.random.key(1), mesh=ju.make_mesh(1))
    finally:
        sys.setprofile(None)
    return found


def test_an_image_passes_every_file_on_its_way(passed):
    assert [name for name in STOPS if str(PACKAGE / name) not in passed] == []


def test_the_usual_way_leads_through_no_file_that_is_said_to_be_off_it(passed):
    off = ("data/stream.py", "engine/from_host.py", "bank/filling.py")
    assert all(f"`{name}`" in WAY for name in off)
    assert [name for name in off if str(PACKAGE / name) in passed] == []
