"""Devices on one axis."""

import jax
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.engine.mesh import make_mesh, over_rows, place, replicated


def test_the_default_mesh_has_every_device_on_the_axis_data():
    mesh = make_mesh()
    assert mesh.axis_names == ("data",)
    assert mesh.shape["data"] == len(jax.devices()) == 4


@pytest.mark.parametrize("data", [1, 2, 3])
def test_a_mesh_of_some_devices_has_the_first_ones(data):
    assert list(make_mesh(data).devices) == jax.devices()[:data]


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
    whole = place({"a": np.arange(5.0)}, replicated(mesh))["a"]
    assert {shard.data.shape for shard in whole.addressable_shards} == {(5,)}
