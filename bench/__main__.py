"""`python -m bench`: see `bench.run`, which is apart because child processes must be able to import it."""

from bench.run import main

main()
