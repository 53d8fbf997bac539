"""Attachments by reference: fetched once for each attempt, judged by size, type and checksum, then sent by value."""
