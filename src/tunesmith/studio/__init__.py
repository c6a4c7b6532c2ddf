"""Local web pages over run folders: see runs, start them, decide about findings, try what was tuned.

The studio keeps nothing of its own. What it shows it reads from run folders and their events; what it starts is
another process that goes through `pipeline`; decisions go to the reviews.jsonl that the command line uses.
"""
