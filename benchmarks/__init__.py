"""Side-by-side measurements of Flow against its budgets: each beside its floor, in one run, in turns."""
