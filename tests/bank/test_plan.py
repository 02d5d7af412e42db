"""What determines a model beside data, network and method."""

import types

import jax_unlearn as ju
from jax_unlearn.bank.plan import Plan, original_member
from jax_unlearn.bank.record import address_of


def test_models_whose_batches_depend_on_the_number_of_devices_have_addresses_of_their_own():
    def address(placement, devices):
        plan = Plan(
            bank=None,
            dataset=types.SimpleNamespace(fingerprint="of the data"),
            model=None,
            network={"name": "convnet"},
            recipe=ju.retrain(),
            padding=0,
            flip=False,
            mesh=ju.make_mesh(devices),
            placement=placement,
        )
        return address_of(original_member(plan, 0).ingredients)

    same = {address(placement, devices) for placement in ("device", "host") for devices in (1, 2)}
    split = {address("sharded", devices) for devices in (2, 4)}
    assert (len(same), len(split)) == (1, 2)
    assert not same & split
