"""
Coverage-guided fuzzing of whatever reads bytes that somebody else wrote: `make fuzz`.

Each target says what may be refused and how, and holds what is accepted against another reader or another way to read
it. What was found here once is a plain test elsewhere.
"""
