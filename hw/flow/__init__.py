"""How a board's files are made: a job, its stages, its tools, its reports."""
