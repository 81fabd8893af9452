"""Our side: the public API alone, as a user would write it."""
