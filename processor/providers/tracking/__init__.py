"""Links that tell when they are followed, the pixel that tells when a mail is opened, and the ways to unsubscribe."""
