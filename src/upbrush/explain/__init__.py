"""Why a painting looks as it does: what was measured, what was invented, and what it was drawn from."""
