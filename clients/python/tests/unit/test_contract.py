"""The generated files are what the server's contract says."""

import dataclasses
import inspect
import json
from typing import Any

import generate

from parlor_client import Http, types
from parlor_client._decode import _decoder


def test_generated_files_are_what_the_contract_says() -> None:
    assert generate.main(["--check"]) == 0, "run clients/python/generate.py"


def test_every_operation_has_a_method_or_is_named_as_being_elsewhere() -> None:
    paths = generate.load("openapi")["paths"]
    operations = {spec["operationId"] for methods in paths.values() for spec in methods.values()}
    methods = {name for name, _ in inspect.getmembers(Http, inspect.isfunction)}
    assert operations - methods == set(generate.ELSEWHERE)


def test_every_field_of_every_type_is_there() -> None:
    schemas: dict[str, Any] = {
        **generate.load("asyncapi")["components"]["schemas"],
        **generate.load("openapi")["components"]["schemas"],
    }
    checked = 0
    for name, schema in schemas.items():
        if name in generate.SKIPPED_TYPES or not generate.is_dataclass(schema):
            continue
        fields = {field.name.rstrip("_") for field in dataclasses.fields(getattr(types, name))}
        assert fields == set(schema["properties"]), name
        _decoder(getattr(types, name))
        checked += 1
    assert checked > 60


def test_every_type_of_event_and_signal_is_known() -> None:
    schemas = generate.load("asyncapi")["components"]["schemas"]
    for base, known in (("Event", types.EVENTS), ("Signal", types.SIGNALS)):
        text = json.dumps(schemas[base])
        assert known
        for kind in known:
            assert f'"const": "{kind}"' in text
        assert text.count('"const"') == len(known)
