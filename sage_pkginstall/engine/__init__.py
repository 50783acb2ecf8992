"""Move trees into a prefix: plan, journal and renames under one lock."""
