"""Short message centres: SMPP 3.4 over long-lived binds."""
