"""What providers report by calling us: who says so is verified, and what they say becomes one vocabulary."""
