"""Speed, memory and quality, measured: one script a question, results stored."""
