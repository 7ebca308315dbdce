"""A source component in wasmtime: a fresh instance for each call, with bounded memory and time."""

import hashlib
import json

from wasmtime import Config, Engine, Store
from wasmtime.component import Component, EnumType, Linker, ListType, OptionType, Record, RecordType
from wasmtime.component import ResultType, String, TupleType, Variant, VariantType

INTERFACE = "recording:source/source@0.2.0"
MEMORY = 64 << 20
# Some seconds.
FUEL = 20_000_000_000


class SourceError(Exception):
    """An error that the source itself returned, as a variant `source-error`."""


class Source:
    def __init__(self, path: str):
        config = Config()
        config.consume_fuel = True
        self.engine = Engine(config)
        self.component = Component.from_file(self.engine, path)
        self.linker = Linker(self.engine)

    def describe(self) -> Record:
        return self.call("describe")[1]

    def start(self, options: dict, purpose: Variant, now: int) -> Record:
        return self.checked("start", json.dumps(options), purpose, now)

    def step(self, options: dict, state: Record, event, now: int) -> Record:
        return self.checked("step", json.dumps(options), state, event, now)

    def checked(self, name: str, *arguments) -> Record:
        result = self.call(name, *arguments)[1]
        # A `result` is its payload: a record if it is well, a variant if it is an error.
        if isinstance(result, Variant):
            raise SourceError(f"{result.tag}: {result.payload}")
        return result

    def call(self, name: str, *arguments):
        """Returns the type and the value of the result. A trap is an exception of wasmtime."""
        store = Store(self.engine)
        store.set_limits(memory_size=MEMORY)
        store.set_fuel(FUEL)
        # It imports nothing, so nothing is linked.
        instance = self.linker.instantiate(store, self.component)
        interface = instance.get_export_index(store, INTERFACE)
        if interface is None:
            raise SystemExit(f"the component does not export {INTERFACE}")
        function = instance.get_func(store, instance.get_export_index(store, name, interface))
        return function.type(store).result, function(store, *arguments)


def record(**fields) -> Record:
    """A record of the interface; `_` in a name stands for `-`, and at its end for nothing."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.rstrip("_").replace("_", "-"), value)
    return made


def canonical(kind, value):
    """A value as docs/other-hosts.md writes it in JSON."""
    match kind:
        case RecordType():
            return {name: canonical(of, getattr(value, name)) for name, of in kind.fields}
        case ListType():
            return [canonical(kind.element, one) for one in value]
        case TupleType():
            return [canonical(of, one) for of, one in zip(kind.elements, value)]
        case OptionType():
            return None if value is None else canonical(kind.payload, value)
        case VariantType() | ResultType():
            cases = kind.cases if isinstance(kind, VariantType) else [("ok", kind.ok), ("err", kind.err)]
            name, payload = next((name, of) for name, of in cases if is_case(name, of, value))
            value = value.payload if isinstance(value, Variant) and value.tag == name else value
            return name if payload is None else {name: canonical(payload, value)}
        case _:
            # A boolean, a number or a string, or the name of an enum's case.
            return value


def is_case(name: str, payload, value) -> bool:
    """wasmtime gives a variant as its payload alone where the payloads are of different types."""
    match payload:
        case _ if isinstance(value, Variant) and not isinstance(payload, VariantType):
            return value.tag == name
        case None:
            return value is None
        case RecordType():
            return isinstance(value, Record)
        case VariantType():
            return isinstance(value, Variant)
        case String():
            return isinstance(value, str)
        case _:
            return False


def digest(canonical_value) -> str:
    text = json.dumps(canonical_value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
