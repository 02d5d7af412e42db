import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import (
    RequestSpec,
    Scores,
    by_class,
    by_ids,
    by_subclass,
    hardest,
    last_step,
    make_request,
    parse_request,
    random,
    step_before,
    steps_of,
    with_seeds,
    with_steps,
    without_seed,
)
from jax_unlearn.data.request_text import describe_request


@pytest.mark.parametrize(
    ("text", "spec", "slug"),
    [
        ("class:3", RequestSpec("class", ("3",)), "class-3"),
        ("class:3,5", RequestSpec("class", ("3", "5")), "class-3-5"),
        ("class:rocket", RequestSpec("class", ("rocket",)), "class-rocket"),
        ("class:crane (n01)", RequestSpec("class", ("crane (n01)",)), "class-crane-n01"),
        ("subclass:69", RequestSpec("subclass", ("69",)), "subclass-69"),
        ("random:0.1", RequestSpec("random", fraction=0.1), "random-0.1"),
        ("random:500", RequestSpec("random", count=500), "random-500"),
        ("random:1", RequestSpec("random", count=1), "random-1"),
        ("random:0.1,seed=3", RequestSpec("random", fraction=0.1, seed=3), "random-0.1-seed3"),
        (
            "random:20, stratified=false",
            RequestSpec("random", count=20, stratified=False),
            "random-20-stratifiedfalse",
        ),
        ("hardest:0.1", RequestSpec("hardest", fraction=0.1), "hardest-0.1"),
        (
            "hardest:30,models=5,seed=7",
            RequestSpec("hardest", count=30, models=5, seed=7),
            "hardest-30-seed7-models5",
        ),
        (
            "memorization:high,0.1",
            RequestSpec("memorization", fraction=0.1, level="high"),
            "memorization-high-0.1",
        ),
        (
            "entangled:low,50,seed=2",
            RequestSpec("entangled", count=50, level="low", seed=2),
            "entangled-low-50-seed2",
        ),
        ("worst:0.1", RequestSpec("worst", fraction=0.1), "worst-0.1"),
        (
            "confused:5,3,0.5",
            RequestSpec("confused", ("3", "5"), fraction=0.5),
            "confused-3-5-0.5",
        ),
        (
            "backdoor:rocket,0.1,patch=3",
            RequestSpec("backdoor", ("rocket",), fraction=0.1, patch=3),
            "backdoor-rocket-0.1-patch3",
        ),
        (
            "duplicated:0.1,copies=3,keep=false",
            RequestSpec("duplicated", fraction=0.1, copies=3, keep=False),
            "duplicated-0.1-copies3-keepfalse",
        ),
        (
            "hardest:0.1,group=2/3",
            RequestSpec("hardest", fraction=0.1, group="2/3"),
            "hardest-0.1-group2-3",
        ),
        ("worst:9,group=1/1", RequestSpec("worst", count=9), "worst-9"),
        ("random:5,part=1", RequestSpec("random", count=5, part=1), "random-5-part1"),
        ("ids:/a/b,c=d/set.npy", RequestSpec("ids", path="/a/b,c=d/set.npy"), "ids-set"),
        (
            "ids:first-then-last.npy",
            RequestSpec("ids", path="first-then-last.npy"),
            "ids-first-then-last",
        ),
        (
            "class:3-then-random:5",
            RequestSpec("random", count=5, earlier=RequestSpec("class", ("3",))),
            "class-3-then-random-5",
        ),
    ],
)
def test_a_text_is_read_as_what_it_says(text, spec, slug):
    assert parse_request(text) == spec
    assert parse_request(text).slug == slug


def test_a_large_count_keeps_its_digits_in_the_slug():
    assert parse_request("random:1234567").slug == "random-1234567"


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (("class:1,0", "class:0,1", "class:0,1,1", "class:01, 00"), ("0", "1")),
        (("class:10,9,2", "class:2,9,10"), ("2", "9", "10")),
        (("subclass:b,a,3", "subclass:3,a,b,a"), ("3", "a", "b")),
    ],
)
def test_the_order_of_classes_makes_no_other_request(texts, classes):
    specs = [parse_request(text) for text in texts]
    assert {spec.classes for spec in specs} == {classes}
    assert len({spec.slug for spec in specs}) == 1


def test_only_the_hardest_need_scoring_models():
    assert parse_request("hardest:0.1,models=2,seed=5").scoring_seeds == (5, 6)
    assert parse_request("random:0.1,seed=5").scoring_seeds == ()


def test_a_text_makes_the_request_that_its_constructor_makes(dataset, tmp_path):
    np.save(tmp_path / "ids.npy", np.array([501, 502]))
    margins = np.arange(60.0)

    def scores(spec):
        return Scores(margins, {"models": spec.models, "seeds": list(spec.scoring_seeds)})

    pairs = {
        "class:earth,0": by_class(dataset, [0, 1]),
        "subclass:fine2": by_subclass(dataset, 2),
        "random:0.1,seed=3": random(dataset, 0.1, seed=3),
        "random:7,stratified=false": random(dataset, count=7, stratified=False),
        f"ids:{tmp_path / 'ids.npy'}": by_ids(dataset, [501, 502]),
        "hardest:6": hardest(
            dataset, margins, count=6, arguments={"models": 3, "seeds": [0, 1, 2]}
        ),
    }
    for text, request in pairs.items():
        assert make_request(text, dataset, scores).hash == request.hash
        assert make_request(parse_request(text), dataset, scores).hash == request.hash


def test_the_hardest_without_margins_are_refused(dataset):
    with pytest.raises(InputError, match=r"scores=None: hardest-0.1 chooses by the true-class"):
        make_request("hardest:0.1", dataset)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clas:3", "request='clas': did you mean class"),
        ("class", "request='class': expected a value after the colon, such as class:3"),
        ("class:", "expected a value after the colon"),
        ("class:3,,5", "expected classes such as"),
        ("class:3,seed=1", "option='seed': expected no options; refer"),
        ("random:many", "'many' is not a number: expected a fraction such as 0.1 or a count"),
        ("random:0.1,0.2", "expected one fraction or count, such as random:0.1"),
        ("random:seed=3", "expected one fraction or count"),
        ("random:0.1,sed=3", "option='sed': did you mean seed"),
        ("random:0.1,models=3", "option='models': expected one of group, part, seed, stratified"),
        ("random:0.1,seed=x", "seed='x': expected a whole number >= 0"),
        ("random:0.1,stratified=no", "stratified='no': expected one of false, true"),
        ("random:1_0", "'1_0' is not a number: expected a fraction"),
        ("random:0.1_5", "'0.1_5' is not a number"),
        ("random:\u0663", "is not a number"),
        ("random:" + "9" * 5000, "expected a number > 0 and <= 1"),
        ("random:0.1,seed=1,seed=2", "seed is given twice: expected once"),
        ("random:0.1,seed=1_0", "seed='1_0': expected a whole number >= 0"),
        ("random:0.1,seed=" + "9" * 5000, "expected a whole number >= 0 of at most 18 digits"),
        ("random:nan", "fraction=nan: expected a number"),
        ("random:1.5", "fraction=1.5: expected a number > 0 and <= 1"),
        ("random:-0.1", "fraction=-0.1: expected"),
        ("random:0", "count=0: expected a whole number >= 1"),
        ("hardest:0.1,models=0", "models=0: expected a number >= 1"),
        ("random:0.1,group=4/3", "group='4/3': expected a number and of how many, such as 1/3"),
        ("random:0.1,group=0/3", "group='0/3': expected a number and of how many"),
        ("worst:0.1,group=2", "group='2': expected a number and of how many"),
        ("memorization:low,0.1,group=1/2", "option='group': expected no options"),
        ("ids:", "expected a value after the colon"),
        ("memorization:0.1", "expected one name and one fraction or count, such as memorization:"),
        ("memorization:higher,0.1", "level='higher': did you mean high"),
        ("entangled:mix,0.1", "level='mix': "),
        ("confused:3,0.5", "expected two classes and one fraction or count, such as confused:3,5,"),
        ("backdoor:0.1", "expected one name and one fraction"),
        ("duplicated:0.1,keep=yes", "keep='yes': expected one of false, true"),
        ("duplicated:0.1,copies=0", "copies=0: expected a number >= 1"),
        ("duplicated:0.1,copies=-2", "copies='-2': expected a whole number >= 1 of at most 18"),
        ("class:3-then-backdoor:0,0.1", "'backdoor:0,0.1' changes the training data, so it cannot"),
        ("confused:3,5,0.5-then-class:3", "'confused:3,5,0.5' changes the training data"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_request(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("class:3", "class 3"),
        ("class:5,3", "classes 3 and 5"),
        ("class:rocket,sea,3", "classes 3, rocket and sea"),
        ("subclass:69", "subclass 69"),
        ("random:0.1", "random 10 %"),
        ("random:0.125,seed=3,stratified=false", "random 12.5 %, seed 3, not stratified"),
        ("random:1", "random 1 example"),
        ("hardest:0.1", "hardest 10 %"),
        ("hardest:500,models=1", "hardest 500 examples, by 1 model"),
        ("random:0.1,group=1/3", "random 10 %, group 1 of 3 by memorization"),
        ("ids:folder/my set.npy", "ids of my set.npy"),
        ("a name of one's own", "a name of one's own"),
        ("class:", "class:"),
    ],
)
def test_a_request_is_written_as_prose(text, prose):
    assert describe_request(text) == prose


def test_a_sequence_is_its_steps_in_order():
    text = "class:3-then-random:5,seed=2-then-ids:a.npy"
    way = ("class:3", "class:3-then-random:5,seed=2", text)
    assert steps_of(text) == way
    assert [step_before(step) for step in way] == ["", *way[:2]]
    assert last_step(text) == "ids:a.npy"
    assert [step.kind for step in parse_request(text).steps] == ["class", "random", "ids"]
    assert with_steps([text, "class:5", "class:3"]) == (*way, "class:5")
    assert describe_request(text) == "class 3, then random 5 examples, seed 2, then ids of a.npy"
    assert parse_request("class:3-then-hardest:5").exact is False
    assert parse_request("hardest:5-then-class:3").exact is False
    assert parse_request(text).exact


def test_a_sequence_forgets_what_its_steps_forget(dataset):
    made = make_request("class:0-then-subclass:5", dataset)
    steps = by_class(dataset, 0), by_subclass(dataset, 5)
    assert sorted(made.ids) == sorted(np.concatenate([step.ids for step in steps]))
    for mine, step in zip(made.steps, steps, strict=True):
        np.testing.assert_array_equal(mine, step.ids)
    np.testing.assert_array_equal(made.step_ids, steps[1].ids)
    assert (made.classes, made.fine_classes) == ((0,), (5,))
    other = make_request("subclass:5-then-class:0", dataset)
    np.testing.assert_array_equal(other.ids, made.ids)
    assert other.hash != made.hash


def test_steps_that_share_an_image_are_refused(dataset):
    message = r"sequence: step 3 \(random\) names \d+ of the images that an earlier step \(class\)"
    with pytest.raises(InputError, match=message) as caught:
        make_request("class:0-then-class:1-then-random:0.9", dataset)
    assert "\n" not in str(caught.value)


def test_steps_together_leave_something(dataset):
    with pytest.raises(InputError, match=r"^sequence: its 3 steps forget all 60"):
        make_request("class:0-then-class:1-then-class:2", dataset)


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("memorization:high,0.1", "memorization high 10 %"),
        ("entangled:low,50,seed=2", "entangled low 50 examples, seed 2"),
        ("worst:0.1", "worst 10 %"),
        ("confused:3,5,0.5", "confused classes 3 and 5, 50 %"),
        ("backdoor:0,0.1,patch=3", "backdoor to class 0, 10 %, trigger of 3 pixels"),
        ("duplicated:0.1,copies=3,keep=false", "duplicated 10 %, 3 copies, copies forgotten too"),
    ],
)
def test_every_kind_is_described(text, prose):
    assert describe_request(text) == prose


def test_a_request_that_draws_is_made_with_each_seed():
    texts = ["class:3", "random:0.1", "random:0.1,seed=5", "class:3-then-random:9,part=1"]
    assert with_seeds(texts, ()) == tuple(texts)
    assert with_seeds(texts, (0, 2)) == (
        "class:3",
        "random:0.1",
        "random:0.1,seed=2",
        "random:0.1,seed=5",
        "class:3-then-random:9,part=1",
        "class:3-then-random:9,part=1,seed=2",
    )
    assert without_seed("random:0.1, seed=2,stratified=false") == "random:0.1,stratified=false"
    assert without_seed("hardest:0.1,seed=2") == "hardest:0.1,seed=2"
