from typing import Any

import pytest
import torch

from mtlgym.balancing import (
    GRADIENT_METHODS,
    LOSS_METHODS,
    gradient_method,
    parse,
    with_transform,
)
from mtlgym.balancing.method import Method
from mtlgym.record import Record


@pytest.mark.parametrize("name", LOSS_METHODS)
def test_every_loss_method_meets_the_protocol(name):
    method = LOSS_METHODS[name](**({"weights": [1.0]} if name == "fixed" else {}))
    assert isinstance(method, Method)
    assert method.transform == ("log" if name in ("si", "igbv1") else "none")
    assert method.needs_same_batch == (name == "famo")


GOOD_SPECS = [
    ("igbv1", LOSS_METHODS["igbv1"]()),
    ("igbv1+si", LOSS_METHODS["igbv1"]()),
    ("dwa:window=25", LOSS_METHODS["dwa"](window=25)),
    ("dwa: temperature = 1, window = 25", LOSS_METHODS["dwa"](temperature=1.0, window=25)),
    ("uw:lr=1e+2", LOSS_METHODS["uw"](lr=100.0)),
    ("fixed:weights=[1,2,3]", LOSS_METHODS["fixed"](weights=[1, 2, 3])),
    ('fixed:weights=[1, 2.5],transform="log"', LOSS_METHODS["fixed"]([1, 2.5], "log")),
    ("famo:min_losses=[0,1],lr=0.1", LOSS_METHODS["famo"](lr=0.1, min_losses=[0, 1])),
    ("dwa+si", LOSS_METHODS["dwa"](transform="log")),
    ("rlw:seed=3+si", LOSS_METHODS["rlw"](seed=3, transform="log")),
]


@pytest.mark.parametrize(("spec", "method"), GOOD_SPECS)
def test_a_text_names_a_method_and_its_settings(spec, method):
    assert parse(spec) == (method, None)


def test_a_text_may_name_a_gradient_method():
    nash, cagrad = GRADIENT_METHODS["nash"](), GRADIENT_METHODS["cagrad"](c=0.4, rescale=True)
    assert parse("nash") == (None, nash)
    assert parse("igbv1+nash") == (LOSS_METHODS["igbv1"](), nash)
    assert parse("dwa:window=2+si+nash") == (LOSS_METHODS["dwa"](2.0, 2, "log"), nash)
    assert parse("uw+cagrad:c=0.4,rescale=true") == (LOSS_METHODS["uw"](), cagrad)
    assert gradient_method("cagrad:c=0.4,rescale=true") == cagrad
    with pytest.raises(ValueError, match=r"at most one gradient method, not \['nash', 'nash'\]"):
        parse("nash+nash")
    with pytest.raises(ValueError, match=r"unknown method 'nahs'. Did you mean 'nash'"):
        parse("nahs")


BAD_SPECS = [
    ("igbv", r"unknown method 'igbv'. Did you mean 'igbv1'"),
    ("", "unknown method ''"),
    ("nahs", "unknown method 'nahs'. Did you mean 'nash'"),
    ("igbv1+nahs", "unknown gradient method 'nahs'. Did you mean 'nash'"),
    ("igbv1+cagrad:d=1", "unknown setting of method 'cagrad' 'd'. Known: c, rescale, times_tasks"),
    ("cagrad:c=true", "setting `c` of method 'cagrad' must be of type float, not true"),
    ("dwa+uw", "unknown gradient method 'uw'"),
    ("uw+si", "`transform` of UW can only be 'none', not 'log'"),
    ("famo+si", "`transform` of FAMO can only be 'none', not 'log'"),
    ("dwa:windw=25", r"unknown setting of method 'dwa' 'windw'. Did you mean 'window'\?"),
    ("dwa:_count=2", r"unknown setting .* '_count'. Known: temperature, transform, window"),
    ("si:lr=1", "unknown setting of method 'si' 'lr'. Known: none"),
    ("dwa:window", "setting `window` of method 'dwa' must be a JSON value, not ''"),
    ("dwa:window=x", "setting `window` of method 'dwa' must be a JSON value, not 'x'"),
    ("dwa:window=2.5", "setting `window` of method 'dwa' must be of type int, not 2.5"),
    ("dwa:window=true", "setting `window` of method 'dwa' must be of type int, not true"),
    ("uw:lr=true", "setting `lr` of method 'uw' must be of type float, not true"),
    ("uw:lr=-1", "`lr` must be a positive finite number, not -1.0"),
    ("fixed", "`weights` must be given"),
    ("fixed:weights=1", "setting `weights` of method 'fixed' must be of type list, not 1"),
    ('dwa:transform="lgo"', "unknown transform 'lgo'. Did you mean 'log'"),
]


@pytest.mark.parametrize(("spec", "message"), BAD_SPECS)
def test_a_text_that_names_no_method_is_refused_with_the_reason(spec, message):
    with pytest.raises(ValueError, match=message):
        parse(spec)


def test_with_transform_leaves_the_method_given_as_it_was():
    method = LOSS_METHODS["dwa"](window=2)
    method(Record(torch.ones(2)))
    changed: Any = with_transform(method, "log")
    assert changed == LOSS_METHODS["dwa"](window=2, transform="log")
    assert method.transform == "none"
    assert (len(method._recent), len(changed._recent)) == (1, 0)
