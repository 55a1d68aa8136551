"""Rows: what each origin says, signed, and how rows are joined."""
