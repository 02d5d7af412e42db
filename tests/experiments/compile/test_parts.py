"""Optimised programs are read, counted and bounded: on saved texts, by closed forms.

Both texts are of one function, compiled for two H100 and four TPU v5e: five steps of gradient
descent on the sum of squares of a 3x3 convolution of 8 to 16 channels, stride 2 and padding 1, of
16 images of 8x8, which are gathered from 100. They lack metadata.
"""

import pathlib
import types

import pytest

from experiments.compile.convolutions import convolutions, flops, product_flops
from experiments.compile.derived import derive
from experiments.compile.hlo import parse
from experiments.compile.measuring import costs as operations
from experiments.compile.measuring import describe, is_oversized
from experiments.compile.program import Shape
from experiments.compile.roofline import bound, largest_batch
from experiments.compile.traffic import bytes_accessed, collectives, custom_calls, opcodes

DEVICES = {"gpu": 2, "tpu": 4}
TAPS = 11
"""Along an axis: of four outputs the first meets two pixels and the others three."""


def read(platform, loops_once=1):
    text = (pathlib.Path(__file__).parent / "programs" / f"{platform}.txt").read_text()
    return parse(text, loops_once=loops_once)


@pytest.fixture(scope="module", params=DEVICES)
def platform(request):
    return request.param


@pytest.fixture(scope="module")
def program(platform):
    return read(platform)


def test_shapes_have_the_bytes_of_their_types():
    assert Shape("bf16", (3, 3, 8, 16)).bytes == 2304
    assert Shape("pred", (5,)).bytes == Shape("u8", (5,)).bytes == 5
    assert Shape("s4", (3,)).bytes == 2
    assert Shape("f32", ()).bytes == 4
    assert Shape("token", ()).bytes == 0


def test_the_loop_is_executed_with_its_body_and_condition(program):
    counts = opcodes(program)
    assert counts["while"] == 1
    assert counts["compare"] == 2  # the loop's, and that of the gather's index
    assert any(one.instruction.is_root for one in program.executed())


def test_a_loops_body_counts_as_often_as_it_runs_or_once_where_it_is_a_step(platform):
    step, loop = read(platform), read(platform, loops_once=0)
    assert flops(loop) == 5 * flops(step)
    exchanged = {"all-reduce": {"count": 5, "bytes": 5 * 2304}}
    assert collectives(loop) == exchanged
    assert bytes_accessed(step) < bytes_accessed(loop) < 5 * bytes_accessed(step)
    assert opcodes(loop) == opcodes(step)
    assert describe(loop, (3, 3))["convolutions"] == describe(step, (3, 3))["convolutions"]


def test_a_compilers_own_count_is_of_a_body_once_and_grows_as_ours():
    class Compiled:
        def cost_analysis(self):
            return {"flops": 1100.0, "bytes accessed": 1.0}

    step, loop = (operations(Compiled(), read("tpu", once)) for once in (1, 0))
    assert step["flops"] == 1100
    assert loop["flops"] == 5500
    assert loop["compiler"] == step["compiler"] == {"flops": 1100.0, "bytes": 1.0}


def test_a_convolution_and_its_weight_gradient_count_what_meets_a_pixel(program, platform):
    images = 16 / DEVICES[platform]
    forward = 2 * images * 8 * 16 * TAPS**2
    found = convolutions(program)
    assert [one.flops for one in found] == [forward, forward]
    assert {one.reach for one in found} == {(3, 3)}
    assert product_flops(program) == 0


def test_a_weight_gradient_of_the_tpus_has_the_image_as_window_and_a_librarys_has_not(
    program, platform
):
    windows = {one.window for one in convolutions(program)}
    assert windows == ({(3, 3)} if platform == "gpu" else {(3, 3), (4, 4)})


PRODUCT = """HloModule product

ENTRY %main (a: bf16[256,16,16,16,1], b: bf16[256,9,8,16,16]) -> f32[256,16,9,8,1] {
  %a = bf16[256,16,16,16,1]{2,3,1,4,0} parameter(0)
  %b = bf16[256,9,8,16,16]{4,1,3,2,0} parameter(1)
  ROOT %c = f32[256,16,9,8,1]{2,1,4,3,0} convolution(%a, %b), window={size=256x8x16 \
stride=255x1x1 pad=0_0x7_7x0_0 lhs_dilate=256x1x1 rhs_reversal=0x1x0}, dim_labels=02fb1_0o12i->0bf12
}
"""
"""As a TPU's compiler writes 256 products of [16, 16 * 16] and [16 * 16, 9 * 8]."""


@pytest.mark.parametrize(
    ("reach", "kernel", "oversized"),
    [
        ((3, 3), (3, 3), False),
        ((5, 3), (3, 3), True),
        ((1, 3, 3), (3, 3), False),
        ((3, 1, 3), (3, 3), False),
        ((1, 3, 31), (3, 3), True),
        ((3, 3, 3), (3, 3), True),
        ((5, 3), (3, 5), False),
        ((), (3, 3), False),
        ((1, 1), (), False),
        ((1, 2), (), True),
    ],
)
def test_a_window_is_oversized_whatever_axes_the_compiler_gives_it(reach, kernel, oversized):
    assert is_oversized(types.SimpleNamespace(reach=reach), kernel) is oversized


def test_a_product_that_is_written_as_a_convolution_reaches_nowhere():
    (found,) = convolutions(parse(PRODUCT))
    assert found.reach == (1, 1, 1)
    assert found.flops == 2 * 256 * 16 * (16 * 16) * (9 * 8)


def test_what_is_exchanged_is_the_gradient(program):
    assert collectives(program) == {"all-reduce": {"count": 1, "bytes": 2304}}


def test_bytes_are_those_of_operands_and_results_of_each_kernel():
    program = read("gpu")
    images, outputs, weights = 8 * 8 * 8 * 8 * 2, 8 * 4 * 4 * 16 * 2, 2304
    # Of 100 images and of all rows the gather picks a step's; and it is told the step.
    gather = images + 8 * 4 + 4 + images
    bias = 16 * 2
    convolution = images + weights + bias + outputs
    gradient = images + outputs + weights
    loop = (4 + 4) + (4 + 1) + (4 + 4)
    exchanged, update, turned = 2 * weights, 3 * weights, 2 * 2 * weights
    expected = gather + bias + convolution + gradient + loop + exchanged + update + turned
    assert bytes_accessed(program) == expected


def test_a_program_is_described(program, platform):
    found = describe(program, (3, 3))
    assert found["convolutions"] == {"3x3": 2}
    assert found["oversized"] == {}
    assert describe(program, (1, 1))["oversized"] == {"3x3": 2}
    assert found["loops"] == 1
    called = {"gpu": 2, "tpu": 1}
    assert sum(custom_calls(program).values()) == called[platform]


DOTS = """HloModule products

ENTRY %main (a: f32[6,5], b: f32[5,7]) -> f32[6,7] {
  %a = f32[6,5]{1,0} parameter(0)
  %b = f32[5,7]{1,0} parameter(1)
  %dot = f32[6,7]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %gemm = (f32[6,7]{1,0}, s8[9]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm"
  %part = f32[2,7]{1,0} slice(%dot), slice={[0:2], [0:7]}
  %new = f32[6,7]{1,0} dynamic-update-slice(%dot, %part)
  ROOT %copy = f32[6,7]{0,1} copy(%new)
}
"""


def test_products_count_two_operations_for_each_of_three_sizes():
    program = parse(DOTS)
    assert product_flops(program) == pytest.approx(2 * 2 * 6 * 5 * 7)
    read, part, whole = (6 * 5 + 5 * 7) * 4, 2 * 7 * 4, 6 * 7 * 4
    # What a library has for itself is not moved.
    assert bytes_accessed(program) == 2 * (read + whole) + 2 * part + 2 * part + 2 * whole


STARTED = """HloModule started

ENTRY %main (a: f32[2,4], b: f32[8,4]) -> f32[8,4] {
  %a = f32[2,4]{1,0} parameter(0)
  %b = f32[8,4]{1,0} parameter(1)
  %gathering = (f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%a), channel_id=1, dimensions={0}
  %gathered = f32[8,4]{1,0} all-gather-done(%gathering)
  ROOT %reducing = f32[8,4]{1,0} all-reduce-start(%b), channel_id=2, to_apply=%add
}
"""


def test_what_is_started_reads_its_operands_and_writes_what_comes_of_them():
    program = parse(STARTED)
    own, whole = 2 * 4 * 4, 8 * 4 * 4
    assert bytes_accessed(program) == own + whole + 2 * whole
    exchanged = collectives(program)
    assert exchanged["all-gather"] == {"count": 1, "bytes": own}
    assert exchanged["all-reduce"] == {"count": 1, "bytes": whole}


FUSED = """HloModule fused

%scattering (input: f32[8,4]) -> f32[2,4] {
  %input = f32[8,4]{1,0} parameter(0)
  %sum = f32[8,4]{1,0} all-reduce(%input), channel_id=1, to_apply=%add
  %whole = f32[8,4]{1,0} bitcast(%sum)
  %zero = s32[] constant(0)
  ROOT %own = f32[2,4]{1,0} dynamic-slice(%whole, %zero, %zero), dynamic_slice_sizes={2,4}
}

%starting (part: f32[2,4]) -> f32[8,4] {
  %part = f32[2,4]{1,0} parameter(0)
  %gathered = f32[8,4]{1,0} all-gather(%part), channel_id=2, dimensions={0}
  ROOT %started = f32[8,4]{1,0} custom-call(%part, %gathered), custom_call_target="Start"
}

%ending (part.1: f32[2,4]) -> f32[8,4] {
  %part.1 = f32[2,4]{1,0} parameter(0)
  ROOT %gathered.1 = f32[8,4]{1,0} all-gather(%part.1), channel_id=2, dimensions={0}
}

ENTRY %main (a: f32[8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %own = f32[2,4]{1,0} fusion(%a), kind=kCustom, calls=%scattering
  %start = f32[8,4]{1,0} fusion(%own), kind=kCustom, calls=%starting
  ROOT %end = f32[8,4]{1,0} fusion(%own), kind=kCustom, calls=%ending
}
"""
"""As a TPU's compiler writes a reduce-scatter, and an all-gather that goes on beside other work."""


def test_what_is_exchanged_inside_of_kernels_counts_once():
    own, whole = 2 * 4 * 4, 8 * 4 * 4
    assert collectives(parse(FUSED)) == {
        "all-gather": {"count": 1, "bytes": own},
        "reduce-scatter": {"count": 1, "bytes": whole},
    }
    # All of a sum, where a device does not keep its own part alone.
    kept = FUSED.replace("ROOT %own", "%own").replace("%whole = ", "ROOT %whole = ")
    assert collectives(parse(kept))["all-reduce"] == {"count": 1, "bytes": whole}


ON_CHIP = """HloModule kept

ENTRY %main (a: bf16[8,128]) -> bf16[8,128] {
  %a = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  %copying = (bf16[8,128]{1,0:T(8,128)(2,1)S(1)}, bf16[8,128]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%a)
  %here = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} copy-done(%copying)
  %slicing = ((bf16[8,128]{1,0:T(8,128)(2,1)}), bf16[2,128]{1,0:T(8,128)(2,1)S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:2], [0:128]}
  %part = bf16[2,128]{1,0:T(8,128)(2,1)S(1)} slice-done(%slicing)
  %whole = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} custom-call(%part, %part, %part, %part), custom_call_target="ConcatBitcast"
  %sum = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} add(%here, %whole)
  ROOT %product = bf16[8,128]{1,0:T(8,128)(2,1)} multiply(%sum, %a)
}
"""  # noqa: E501


def test_what_a_tpu_keeps_on_the_chip_moves_where_it_comes_there_or_leaves_it():
    whole, part = 8 * 128 * 2, 2 * 128 * 2
    copied, result = whole, 2 * whole
    assert bytes_accessed(parse(ON_CHIP)) == copied + part + result
    assert bytes_accessed(parse(ON_CHIP.replace("S(1)", "S(3)"))) == copied + part + result
    # On a GPU, whose layouts have no tiles, the space is part of its memory.
    elsewhere = ON_CHIP.replace("T(8,128)(2,1)", "")
    added, multiplied = 3 * whole, 3 * whole
    assert bytes_accessed(parse(elsewhere)) == 2 * whole + 2 * part + added + multiplied


NESTED = """HloModule nested

%inner (p: f32[5,8,8], i: s32[]) -> f32[1,8,8] {
  %p = f32[5,8,8]{2,1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %picked = f32[1,8,8]{2,1,0} dynamic-slice(%p, %i, %zero, %zero), dynamic_slice_sizes={1,8,8}
}

%updating (w: f32[5,8,8], i.1: s32[], v: f32[1,8,8]) -> f32[5,8,8] {
  %i.1 = s32[] parameter(1)
  %w = f32[5,8,8]{2,1,0} parameter(0)
  %v = f32[1,8,8]{2,1,0} parameter(2)
  %zero.1 = s32[] constant(0)
  ROOT %placed = f32[5,8,8]{2,1,0} dynamic-update-slice(%w, %v, %i.1, %zero.1, %zero.1)
}

%outer (j: s32[], q: f32[5,8,8], u: f32[5,8,8]) -> f32[5,8,8] {
  %j = s32[] parameter(0)
  %q = f32[5,8,8]{2,1,0} parameter(1)
  %u = f32[5,8,8]{2,1,0} parameter(2)
  %own = f32[1,8,8]{2,1,0} fusion(%q, %j), kind=kLoop, calls=%inner
  %twice = f32[1,8,8]{2,1,0} add(%own, %own)
  ROOT %fused = f32[5,8,8]{2,1,0} fusion(%u, %j, %twice), kind=kLoop, calls=%updating
}

ENTRY %main (k: s32[], a: f32[5,8,8]) -> f32[5,8,8] {
  %k = s32[] parameter(0)
  %a = f32[5,8,8]{2,1,0} parameter(1)
  %room = f32[5,8,8]{2,1,0} custom-call(), custom_call_target="AllocateBuffer"
  ROOT %result = f32[5,8,8]{2,1,0} fusion(%k, %a, %room), kind=kLoop, calls=%outer
}
"""


def test_a_kernel_inside_of_a_kernel_moves_the_parts_that_it_picks_and_updates():
    part = 8 * 8 * 4
    number = 4
    assert bytes_accessed(parse(NESTED)) == part + part + number
    # One that reads all of it reads all of it.
    whole = NESTED.replace("add(%own, %own)", "add(%own, %q)")
    assert bytes_accessed(parse(whole)) == 5 * part + part + number


@pytest.mark.parametrize(
    ("flops", "moved", "expected"),
    [(100.0, 10.0, (10.0, "compute")), (10.0, 100.0, (20.0, "memory")), (0.0, 0.0, (0, "compute"))],
)
def test_a_bound_is_the_longer_of_computing_and_moving(flops, moved, expected):
    assert bound(flops, moved, peak=10.0, bandwidth=5.0) == expected


def test_the_largest_batch_fills_the_room_and_is_divided_by_the_devices():
    assert largest_batch(fixed=10, per_row=2, room=31, multiple=1) == 10
    assert largest_batch(fixed=10, per_row=2, room=31, multiple=4) == 8
    assert largest_batch(fixed=40, per_row=2, room=31, multiple=1) == 0
    assert largest_batch(fixed=10, per_row=0, room=31, multiple=1) is None


def test_costs_of_an_image_are_of_all_devices_that_share_a_batch():
    record = {"error": None, "flops": 10.0, "bytes": 20.0, "batch": 8, "shards": 4, "models": 3}
    record |= {"memory": {"total": 7}, "room": 8.0, "bound_seconds": 0.5}
    records = {"a step b8": record, "b step b8": record | {"shards": 1, "room": 6.0}}
    derive(records)
    assert records["a step b8"]["per_image"] == {"flops": 5.0, "bytes": 10.0}
    assert records["b step b8"]["per_image"] == {"flops": 1.25, "bytes": 2.5}
    assert [one["fits"] for one in records.values()] == [True, False]
    assert record["images_per_second"] == 48.0
