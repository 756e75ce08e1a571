"""The examples in the docstrings of the main entry points run and print what they say."""

import doctest
import importlib

import pytest

MODULES = (
    "cqb.experiments",
    "cqb.study.study",
    "cqb.datasets",
    "cqb.policies",
    "cqb.routing_table",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
