"""Devices on the axes model and data."""

import jax
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.sharding import make_mesh, over_models, over_rows, parse_mesh, replicated, shard


def test_the_default_mesh_has_every_device_on_the_axis_data():
    mesh = make_mesh()
    assert mesh.axis_names == ("model", "data")
    assert mesh.shape["data"] == len(jax.devices()) == 4
    assert mesh.shape["model"] == 1


@pytest.mark.parametrize("data", [1, 2, 3])
def test_a_mesh_of_some_devices_has_the_first_ones(data):
    assert list(make_mesh(data).devices.flat) == jax.devices()[:data]


@pytest.mark.parametrize("data", [0, -1, 5, 1.5, "2", True])
def test_a_number_of_devices_that_there_are_not_is_refused(data):
    with pytest.raises(InputError, match=rf"^data={data!r}: expected a whole number, 1 to 4"):
        make_mesh(data)


def test_rows_are_spread_and_the_rest_is_whole_on_every_device():
    mesh = make_mesh(4)
    rows = jax.device_put(np.zeros((8, 3)), over_rows(mesh))
    columns = jax.device_put(np.zeros((3, 8)), over_rows(mesh, axis=1))
    assert {shard.data.shape for shard in rows.addressable_shards} == {(2, 3)}
    assert {shard.data.shape for shard in columns.addressable_shards} == {(3, 2)}
    whole = shard({"a": np.arange(5.0)}, replicated(mesh))["a"]
    assert {shard.data.shape for shard in whole.addressable_shards} == {(5,)}


def test_models_take_devices_of_their_own():
    mesh = make_mesh(2, 2)
    assert dict(mesh.shape) == {"model": 2, "data": 2}
    stacked = shard(np.zeros((2, 6)), over_models(mesh, "data"))
    assert {shard.data.shape for shard in stacked.addressable_shards} == {(1, 3)}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", {"model": 1, "data": 4}),
        ("data=4", {"model": 1, "data": 4}),
        ("model=4", {"model": 4, "data": 1}),
        ("model=2, data=2", {"model": 2, "data": 2}),
    ],
)
def test_a_mesh_is_what_its_text_says(text, shape):
    assert dict(parse_mesh(text).shape) == shape


@pytest.mark.parametrize("text", ["data=8", "data=3", "model=2", "model=4,data=2"])
def test_sizes_that_do_not_multiply_to_the_devices_are_refused(text):
    with pytest.raises(InputError, match=rf"^mesh='{text}': model=.* must multiply to 4"):
        parse_mesh(text)


@pytest.mark.parametrize("text", ["rows=4", "data", "data=0", "data=x", "data=2,data=2", "4"])
def test_a_mesh_of_unknown_axes_or_sizes_is_refused(text):
    with pytest.raises(InputError, match=rf"^mesh='{text}': expected axes model and data"):
        parse_mesh(text)
