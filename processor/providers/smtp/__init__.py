"""Mail servers: RFC 5321 conversations over kept connections."""
