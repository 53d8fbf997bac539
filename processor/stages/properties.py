"""Whether the properties of a message fit the schema of its channel."""

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from processor.core.plan import Plan
from processor.core.verdict import End
from processor.core.words import Reason, Status

FIELD: Final = "properties"


def compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """
    Return what checks properties against a JSON Schema (any draft from 4 on; 2020-12 where it names none).

    Raises ValueError for what is no schema, and for one that refers to another document: nothing is fetched.
    """
    try:
        # Patterns without backtracking: what they meet comes from messages.
        return jsonschema_rs.validator_for(dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError("is not a JSON Schema") from error


class PropertyChecks:
    """The compiled schemas of all channels that have one."""

    def __init__(self, plan: Plan) -> None:
        """Compile them; `settings` has seen that they can be."""
        self._schemas = {
            code: compiled(channel.properties)
            for code, channel in plan.channels.items()
            if channel.properties is not None
        }

    def refusal(self, channel: str, properties: Mapping[str, str]) -> End | None:
        """Return REJECTED, with the name of a property that the schema names and never with a value; else None."""
        schema = self._schemas.get(channel)
        if schema is None:
            return None
        instance = dict(properties)
        if schema.is_valid(instance):
            return None
        for error in schema.iter_errors(instance):
            if error.instance_path:  # the name of a property that the schema has something to say about
                return End(Status.REJECTED, Reason.INVALID_PROPERTIES, f"{FIELD}.{error.instance_path[0]}")
        return End(Status.REJECTED, Reason.INVALID_PROPERTIES, FIELD)
