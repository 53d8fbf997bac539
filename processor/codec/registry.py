"""
The two calls that we make to a schema registry: Confluent's REST API, which Apicurio serves at /apis/ccompat/v7.

http.client and not a fuller one: no redirect is followed with our credentials, no proxy comes from the environment, and
an answer is bounded in time and size.
"""

import base64
import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from processor.codec.errors import RefusedSchema, RegistryUnavailable

if TYPE_CHECKING:
    import ssl

SCHEMA_NOT_FOUND: Final = 40403  # Confluent Schema Registry API reference, GET /schemas/ids/{id}
INCOMPATIBLE: Final = 409  # likewise, POST /subjects/{subject}/versions
INVALID: Final = 422
OK: Final = 200
SCHEMA_ID_MAX: Final = 2**31 - 1  # ids are Java ints there; Apicurio answers a bare 404 to larger ones, for ever
ANSWER_BYTES_MAX: Final = 1_048_576
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class Registry:
    """A schema registry at *url*; each call opens a connection, and no wait on it is longer than *timeout_s*."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str = "",
        tls: "ssl.SSLContext | None" = None,
        timeout_s: float = 2.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the registry's address is no http or https URL")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = tls
        self._timeout_s = timeout_s
        self._headers = {"Accept": CONTENT_TYPE, "Content-Type": CONTENT_TYPE}
        if user is not None:
            self._headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def schema(self, schema_id: int) -> str | None:
        """
        Return the Avro schema with this id as JSON text; None where the registry does not know the id.

        Raises `RegistryUnavailable` for every answer that does not decide, and `RefusedSchema` for other languages.
        """
        if schema_id > SCHEMA_ID_MAX:
            return None
        status, answer = self._call("GET", f"/schemas/ids/{schema_id}")
        if status == OK and isinstance(answer.get("schema"), str):
            if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
                raise RefusedSchema("no Avro schema, or one with references")
            return str(answer["schema"])
        # A bare 404 may be a wrong path or a proxy: only the registry's own code says that it does not know the id.
        if answer.get("error_code") == SCHEMA_NOT_FOUND:
            return None
        raise RegistryUnavailable(f"HTTP {status}")

    def register(self, subject: str, schema: str) -> int:
        """
        Return the id of *schema* under *subject*, registering it if it is new.

        Raises `RefusedSchema` where the registry holds it incompatible or invalid, else `RegistryUnavailable`.
        """
        body = json.dumps({"schema": schema})
        status, answer = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        if status == OK and isinstance(answer.get("id"), int):
            return int(answer["id"])
        if status in {INCOMPATIBLE, INVALID}:
            raise RefusedSchema(f"the registry refuses the schema of {subject}: HTTP {status}")
        raise RegistryUnavailable(f"HTTP {status}")

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
        connection = self._connection()
        try:
            connection.request(method, self._path + path, body, self._headers)
            with connection.getresponse() as response:
                raw = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, HTTPException) as error:
            raise RegistryUnavailable(type(error).__name__) from error
        finally:
            connection.close()
        if len(raw) > ANSWER_BYTES_MAX:
            raise RefusedSchema("longer than any schema of ours")  # whoever registered it must not hold us up
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        return response.status, answer if isinstance(answer, dict) else {}

    def _connection(self) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)
