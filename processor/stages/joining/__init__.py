"""The join of receipts with messages, and of parts with texts."""
