"""What serves the questions: works, contenders, processes, rounds, results and tables."""
