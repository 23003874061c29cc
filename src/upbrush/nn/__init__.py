"""Networks: shapes and mathematics, no files."""
