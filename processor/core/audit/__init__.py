"""Whether what was promised was kept: facts of three ledgers in, breaches out."""
