import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from jsonargparse import ArgumentParser

from energy_at.types import InputError, Ratio, kind_of, require, require_count, require_one_of, require_weight

PROPERTY = settings(deadline=None, max_examples=50, derandomize=True, database=None)


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ("8/255", 8 / 255, "8/255"),
        (" 8 / 255 ", 8 / 255, "8/255"),
        ("\t8/255\n", 8 / 255, "8/255"),
        ("0.5/255", 0.5 / 255, "0.5/255"),
        ("-1/4", -0.25, "-1/4"),
        (0.03, 0.03, "0.03"),
        ("0.03", 0.03, "0.03"),
        ("1e-3", 0.001, "1e-3"),
        (2, 2.0, "2.0"),
    ],
)
def test_a_ratio_is_a_float_that_prints_as_it_was_written(value, number, text):
    ratio = Ratio(value)
    assert isinstance(ratio, float)
    assert ratio == number
    assert str(ratio) == f"{ratio}" == text


@pytest.mark.parametrize(
    "bad", ["", "eps", "8/", "/255", "8/0", "8/255/2", "8//255", "0,03", "1 2", "8/nan", "1/inf", "1e999/1"]
)
def test_text_that_is_no_number_is_refused_with_the_remedy(bad):
    with pytest.raises(InputError, match=r"is not a number; write 0.03 or 8/255") as error:
        Ratio(bad)
    assert repr(bad) in str(error.value)


@pytest.mark.parametrize("value", ["5", 2.5, None, True, 0, math.inf])
def test_what_counts_nothing_is_refused_with_an_example(value):
    with pytest.raises(InputError, match=f"steps is {value!r}, but it counts from 1; write for example steps: 10"):
        require_count("steps", value, 10)


@pytest.mark.parametrize("value", [1, 7, np.int64(3), 10**20])
def test_whole_numbers_count(value):
    require_count("steps", value, 10)
    require_count("steps", value - 1, 10, least=0)


@pytest.mark.parametrize("value", ["6", None, -1, math.inf, math.nan])
def test_what_weighs_nothing_is_refused_with_an_example(value):
    with pytest.raises(InputError, match=f"beta is {value!r}, but a penalty's weight is .*; write for example beta: 6"):
        require_weight("beta", value, 6)


def test_a_value_is_named_by_its_kind():
    assert kind_of(torch.zeros(2, 3)) == "float32 [2, 3]"
    assert [kind_of(value) for value in (1, "a", [], int)] == ["an int", "a str", "a list", "the class int"]


def test_an_integer_too_large_for_a_float_is_refused():
    with pytest.raises(InputError, match="is not a number"):
        Ratio(10**400)


@pytest.mark.parametrize("value", ["8/255", "0.03", 0.1, " 1 / 3 "])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r)), Ratio])
def test_copies_keep_number_and_text(value, copied):
    ratio = Ratio(value)
    twin = copied(ratio)
    assert type(twin) is Ratio
    assert (float(twin), twin.text) == (float(ratio), ratio.text)


@PROPERTY
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_a_written_ratio_is_the_correctly_rounded_quotient(numerator, denominator):
    assert Ratio(f"{numerator}/{denominator}") == numerator / denominator


@PROPERTY
@given(st.floats(allow_nan=False))
def test_the_text_of_a_number_reads_back_as_the_same_number(number):
    assert Ratio(str(Ratio(number))) == number


def test_arithmetic_gives_plain_floats():
    assert type(2 * Ratio("1/4")) is float
    assert f"{Ratio('8/255'):.3f}" == "0.031"
    assert math.isclose(Ratio("8/255") * 255, 8)


def test_a_configuration_reads_and_writes_ratios():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--eps", type=Ratio)
    config = parser.parse_args(["--eps=8/255"])
    assert config.eps == 8 / 255
    assert "8/255" in parser.dump(config)
    assert parser.parse_string(parser.dump(config)).eps.text == "8/255"
    assert parser.dump(parser.parse_args(["--eps=0.25"])).strip() == "eps: 0.25"


def test_an_unknown_option_is_named_beside_those_there_are():
    with pytest.raises(InputError, match="norm 'L1' is unknown; use Linf or L2"):
        require_one_of("norm", "L1", ("Linf", "L2"))
    with pytest.raises(InputError, match="letter 'd' is unknown; use a, b or c"):
        require_one_of("letter", "d", iter("abc"))
    with pytest.raises(InputError, match=r"only 'WEAT' is unknown; use 'WEAT, natural' or AT$"):
        require_one_of("only", "WEAT", ("WEAT, natural", "AT"))
    with pytest.raises(InputError, match=r"only 'WEAT' is unknown; use AT$"):
        require_one_of("only", "WEAT", ("AT",))
    with pytest.raises(InputError, match=r"only 'WEAT' is unknown; there is none$"):
        require_one_of("only", "WEAT", ())
    require_one_of("norm", "L2", ("Linf", "L2"))


def test_a_requirement_raises_only_where_it_fails():
    require(True, "never said")
    with pytest.raises(ValueError, match=r"^said$") as error:
        require(False, "said")
    assert type(error.value) is InputError
