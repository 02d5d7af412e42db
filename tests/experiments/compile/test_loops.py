"""How often a loop runs is read off the program, or it counts once."""

import math

from experiments.compile.hlo import parse
from experiments.compile.traffic import collectives

LOOPS = """HloModule loops

%within (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[], f32[8]) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[8]{0} get-tuple-element(%p), index=1
  %one = s32[] constant(STEP)
  %next = s32[] add(%i, %one)
  %all = f32[8]{0} all-reduce(%x), to_apply=%sum
  ROOT %t = (s32[], f32[8]) tuple(%next, %all)
}

%until (p: (s32[], f32[8])) -> pred[] {
  %p = (s32[], f32[8]) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %limit = s32[] constant(LIMIT)
  ROOT %lt = pred[] compare(%i, %limit), direction=DIRECTION
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[], f32[8]) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[8]{0} get-tuple-element(%p), index=1
  %start = s32[] constant(START)
  %copy = s32[] copy(%start)
  %t = (s32[], f32[8]) tuple(%copy, %x)
  ROOT %inner = (s32[], f32[8]) while(%t), condition=%until, body=%within
}

%forever (p: (s32[], f32[8])) -> pred[] {
  %p = (s32[], f32[8]) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (s: s32[], x: f32[8]) -> (s32[], f32[8]) {
  %s = s32[] parameter(0)
  %x = f32[8]{0} parameter(1)
  %t = (s32[], f32[8]) tuple(%s, %x)
  ROOT %outer = (s32[], f32[8]) while(%t), condition=CONDITION, body=%body, OUTER
}
"""


def read(loops_once=0, **given):
    text = LOOPS
    default = {"start": "0", "limit": "7", "direction": "LT", "condition": "%forever", "outer": ""}
    default |= {"step": "1"}
    if given.pop("again", None):
        loop = "%inner = (s32[], f32[8]) while(%t), condition=%until, body=%within"
        text = text.replace(f"ROOT {loop}", f"{loop}\n  ROOT {loop.replace('inner', 'other')}")
    for name, value in (default | given).items():
        text = text.replace(name.upper(), value)
    return parse(text, loops_once=loops_once)


def exchanges(loops_once=0, **given):
    return collectives(read(loops_once, **given))["all-reduce"]


def test_loops_in_loops_count_as_often_as_they_run_where_the_program_tells():
    # Nothing tells of the outer one.
    assert exchanges() == {"count": 7, "bytes": 7 * 32}
    assert exchanges(start="2") == {"count": 5, "bytes": 5 * 32}
    thrice = 'backend_config={"known_trip_count":{"n":"3"}}'
    assert exchanges(outer=thrice)["count"] == 21
    assert exchanges(loops_once=1, outer=thrice)["count"] == 7
    assert exchanges(loops_once=math.inf, outer=thrice)["count"] == 1
    # Of an argument nobody knows where it starts; `within` is the body that counts.
    assert exchanges(condition="%until")["count"] == 7
    assert exchanges(direction="NE")["count"] == 1
    assert exchanges(direction="GT")["count"] == 1
    assert exchanges(limit="-1")["count"] == 0
    # It counts otherwise than one by one.
    assert exchanges(step="2")["count"] == 1


def test_loops_of_which_the_program_does_not_tell_are_counted():
    assert read().untold() == 1
    assert read(step="2").untold() == 2
    thrice = 'backend_config={"known_trip_count":{"n":"3"}}'
    assert read(outer=thrice).untold() == 0
    assert read(outer=thrice, direction="NE").untold() == 1
    # A loop of steps counts once by itself.
    assert read(loops_once=1).untold() == 0
    assert read(loops_once=1, step="2").untold() == 1


def test_what_is_called_from_two_places_runs_twice():
    twice = exchanges(outer='backend_config={"known_trip_count":{"n":"3"}}', again="x")
    assert twice["count"] == 3 * (7 + 7)
