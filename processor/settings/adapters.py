"""The section of each kind of adapter."""

from typing import Annotated, Final

from pydantic import Field

from processor.settings.http import HttpSettings
from processor.settings.providers import ProviderSettings
from processor.settings.smpp import SmppSettings
from processor.settings.smtp import SmtpSettings

AnyProvider = Annotated[SmtpSettings | HttpSettings | SmppSettings, Field(discriminator="adapter")]

ADAPTERS: Final[dict[str, type[ProviderSettings]]] = {
    "smtp": SmtpSettings,
    "http": HttpSettings,
    "smpp": SmppSettings,
}
