"""The section `receipts`."""

from typing import Final

from pydantic import Field

from processor.settings.kinds import Duration
from processor.settings.section import Section
from processor.stages.joining.policy import ReceiptPolicy

HOUR_MS: Final = 3_600_000


class ReceiptsSettings(Section):
    """The join of what providers report later with the messages that it is about."""

    horizon_ms: Duration = Field(
        7 * 24 * HOUR_MS,
        alias="horizon",
        ge=60_000,
        description="How late a receipt may be: messages since then are read at a start, and kept on a local disk "
        "(about 330 bytes each).",
    )
    patience_ms: Duration = Field(
        24 * HOUR_MS,
        alias="patience",
        ge=1_000,
        description="How long a receipt waits for its message; then it is published as an orphan.",
    )

    def policy(self) -> ReceiptPolicy:
        """Return what the join is given."""
        return ReceiptPolicy(self.horizon_ms, self.patience_ms)
